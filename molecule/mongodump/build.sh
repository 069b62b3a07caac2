# Usage: build.sh DIRECTORY. Builds FerretDB 1.24 and MongoDB's tools 100.6 there; needs Go and its module proxy.
mkdir -p "$1/build"
cd "$1/build"
export CGO_ENABLED=0
[ -f go.mod ] || go mod init build.invalid/tools
go get github.com/mongodb/mongo-tools@v0.0.0-20221102190735-6d9d341edd33
for tool in mongodump mongorestore; do
  go build -mod=mod -o "tools/bin/$tool" "github.com/mongodb/mongo-tools/$tool/main"
done
# Its version is in a file that the module has not.
source=$(go mod download -json github.com/FerretDB/FerretDB@v1.24.0 | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
rm -rf ferretdb
cp -r "$source" ferretdb
chmod -R u+w ferretdb
printf v1.24.0 > ferretdb/build/version/version.txt
(cd ferretdb && go build -mod=mod -o ../../ferretdb ./cmd/ferretdb)
tar -czf ../tools.tgz tools
sha256sum < ../tools.tgz | cut -d' ' -f1 > ../tools.tgz.sha256
