package main

import (
	"encoding/json"
	"regexp"

	"benchmark/plugin"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

type settings struct {
	Rules []struct {
		Pattern string `json:"pattern"`
		Route   string `json:"route"`
	} `json:"rules"`
	Default  string `json:"default"`
	patterns []*regexp.Regexp
}

func init() {
	plugin.Register(
		func(given []byte) (*settings, error) {
			read := new(settings)
			if err := json.Unmarshal(given, read); err != nil {
				return nil, err
			}
			for _, rule := range read.Rules {
				pattern, err := regexp.Compile("^(?:" + rule.Pattern + ")$")
				if err != nil {
					return nil, err
				}
				read.patterns = append(read.patterns, pattern)
			}
			return read, nil
		},
		func(read *settings) types.HttpContext { return &routing{settings: read} },
	)
}

type routing struct {
	types.DefaultHttpContext
	*settings
}

func (r *routing) route(path string) string {
	for i, pattern := range r.patterns {
		if pattern.MatchString(path) {
			return r.Rules[i].Route
		}
	}
	return r.Default
}

func (r *routing) OnHttpRequestHeaders(int, bool) types.Action {
	path, _ := proxywasm.GetHttpRequestHeader(":path")
	proxywasm.ReplaceHttpRequestHeader("x-route", r.route(path))
	return types.ActionContinue
}
