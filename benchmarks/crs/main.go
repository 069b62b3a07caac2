// Runs the Core Rule Set's regression tests by the project's own runner, go-ftw, and prints what each saw as a line of JSON.
// go-ftw's command line wants a module that not every proxy has, and one request without an answer ends its whole run:
// here each test is a run of its own. Arguments: the directory of the tests, and the log of nginx; or `serve`, to be the
// service behind nginx, which takes everything.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/coreruleset/go-ftw/config"
	"github.com/coreruleset/go-ftw/output"
	"github.com/coreruleset/go-ftw/runner"
	"github.com/coreruleset/go-ftw/test"
	"github.com/rs/zerolog"
)

type seen struct {
	Test     string `json:"test"`
	Attack   bool   `json:"attack"` // it expects a rule to match
	Passed   bool   `json:"passed"`
	Rules    []uint `json:"rules"`
	Statuses []int  `json:"statuses"`
	Reached  bool   `json:"reached"` // the service answered the last of it
	Error    string `json:"error"`
}

// As benchmarks/crs.py lets nginx tell it, between the lines of ModSecurity.
var answered = regexp.MustCompile(`(?m)^answered (\d+) (\S+)`)

func main() {
	if os.Args[1] == "serve" {
		fmt.Fprintln(os.Stderr, http.ListenAndServe("127.0.0.1:18000", http.HandlerFunc(take)))
		os.Exit(1)
	}
	zerolog.SetGlobalLevel(zerolog.Disabled)
	directory, logfile := os.Args[1], os.Args[2]
	tests, err := test.GetTestsFromFiles(directory + "/**/*.yaml")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	settings := config.NewDefaultConfig()
	settings.LogFile = logfile
	told := json.NewEncoder(os.Stdout)
	for _, file := range tests {
		for _, each := range file.Tests {
			one := *file
			one.Tests = file.Tests[:0:0]
			one.Tests = append(one.Tests, each)
			if err := told.Encode(run(settings, &one)); err != nil {
				os.Exit(1)
			}
		}
	}
}

func take(_ http.ResponseWriter, request *http.Request) {
	_, _ = io.Copy(io.Discard, request.Body)
}

func run(settings *config.FTWConfiguration, one *test.FTWTest) seen {
	each := &one.Tests[0]
	result := seen{Test: each.IdString(), Rules: []uint{}, Statuses: []int{}}
	for _, stage := range each.Stages {
		result.Attack = result.Attack || len(stage.Output.Log.ExpectIds) > 0 || stage.Output.Log.MatchRegex != ""
	}
	before := size(settings.LogFile)
	limits := runner.RunnerConfig{Output: output.Quiet, ConnectTimeout: 3 * time.Second, ReadTimeout: 10 * time.Second}
	done, err := runner.Run(settings, []*test.FTWTest{one}, &limits, output.NewOutput("quiet", io.Discard))
	if err != nil {
		result.Error = err.Error()
	} else {
		result.Passed = len(done.Stats.Success) == 1
		for _, stage := range done.Stats.TriggeredRules[result.Test] {
			result.Rules = append(result.Rules, stage...)
		}
	}
	// nginx writes an answer's line after the answer.
	for try := 0; len(result.Statuses) < len(each.Stages) && try < 20; try++ {
		if try > 0 {
			time.Sleep(5 * time.Millisecond)
		}
		result.Statuses, result.Reached = answers(settings.LogFile, before)
	}
	return result
}

func size(path string) int64 {
	found, err := os.Stat(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return found.Size()
}

func answers(path string, from int64) (statuses []int, reached bool) {
	statuses = []int{}
	file, err := os.Open(path)
	if err != nil {
		return statuses, false
	}
	defer file.Close()
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		return statuses, false
	}
	written, _ := io.ReadAll(file)
	for _, match := range answered.FindAllSubmatch(written, -1) {
		status, _ := strconv.Atoi(string(match[1]))
		statuses, reached = append(statuses, status), string(match[2]) != "-"
	}
	return statuses, reached
}
