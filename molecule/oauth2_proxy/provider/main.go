// A provider of OpenID Connect over TLS. Whoever comes to sign in is the person of a file, which a test writes.
package main

import (
	"crypto/tls"
	"encoding/json"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/oauth2-proxy/mockoidc"
)

const (
	address     = "provider1:9443"
	certificate = "/etc/slipway/certificates/provider/fullchain.pem"
	key         = "/etc/slipway/certificates/provider/key.pem"
	client      = "/etc/provider/client.json"
	person      = "/run/person.json"
)

// named listens on every address, and calls itself as its certificate does.
type named struct{ net.Listener }

type name string

func (named) Addr() net.Addr    { return name(address) }
func (name) Network() string    { return "tcp" }
func (own name) String() string { return string(own) }

func read(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// guest tells of an address too that it is not verified.
type guest struct{ mockoidc.MockUser }

type claims struct {
	*mockoidc.IDTokenClaims
	Email             string   `json:"email"`
	EmailVerified     bool     `json:"email_verified"`
	PreferredUsername string   `json:"preferred_username"`
	Groups            []string `json:"groups"`
}

func (who *guest) Claims(_ []string, about *mockoidc.IDTokenClaims) (jwt.Claims, error) {
	return &claims{about, who.Email, who.EmailVerified, who.PreferredUsername, who.Groups}, nil
}

// introduce has the provider know who comes, before it answers.
func introduce(provider *mockoidc.MockOIDC) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(answer http.ResponseWriter, asked *http.Request) {
			if asked.URL.Path == mockoidc.AuthorizationEndpoint {
				who := guest{}
				if err := read(person, &who); err != nil {
					http.Error(answer, err.Error(), http.StatusInternalServerError)
					return
				}
				provider.QueueUser(&who)
			}
			next.ServeHTTP(answer, asked)
		})
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	known := struct{ ID, Secret string }{}
	must(read(client, &known))
	for {
		if _, err := os.Stat(key); err == nil {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	must(err)
	settings := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	provider, err := mockoidc.NewServer(nil)
	must(err)
	provider.ClientID, provider.ClientSecret = known.ID, known.Secret
	must(provider.AddMiddleware(introduce(provider)))
	socket, err := net.Listen("tcp", ":9443")
	must(err)
	must(provider.Start(named{tls.NewListener(socket, settings)}, settings))
	select {}
}
