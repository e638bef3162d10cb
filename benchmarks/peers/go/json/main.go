package main

import (
	"encoding/json"

	"benchmark/plugin"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

type settings struct {
	Removed []string `json:"remove_from_response"`
}

func init() {
	plugin.Register(
		func(given []byte) (read settings, err error) {
			err = json.Unmarshal(given, &read)
			return
		},
		func(read settings) types.HttpContext { return &rewrite{removed: read.Removed} },
	)
}

type rewrite struct {
	types.DefaultHttpContext
	removed []string
	active  bool
}

func (r *rewrite) OnHttpResponseHeaders(int, bool) types.Action {
	contentType, _ := proxywasm.GetHttpResponseHeader("content-type")
	r.active = contentType == "application/json"
	if r.active {
		proxywasm.RemoveHttpResponseHeader("content-length")
	}
	return types.ActionContinue
}

func (r *rewrite) OnHttpResponseBody(size int, end bool) types.Action {
	if !r.active {
		return types.ActionContinue
	}
	if !end {
		return types.ActionPause
	}
	body, err := proxywasm.GetHttpResponseBody(0, size)
	var document any
	if err != nil || json.Unmarshal(body, &document) != nil {
		return types.ActionContinue
	}
	r.remove(document)
	if written, err := json.Marshal(document); err == nil {
		proxywasm.ReplaceHttpResponseBody(written)
	}
	return types.ActionContinue
}

func (r *rewrite) remove(value any) {
	switch members := value.(type) {
	case map[string]any:
		for _, name := range r.removed {
			delete(members, name)
		}
		for _, member := range members {
			r.remove(member)
		}
	case []any:
		for _, member := range members {
			r.remove(member)
		}
	}
}
