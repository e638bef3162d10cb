package main

import (
	"benchmark/plugin"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() {
	plugin.Register(
		func(given []byte) (string, error) { return string(given), nil },
		func(value string) types.HttpContext { return &addHeader{value: value} },
	)
}

type addHeader struct {
	types.DefaultHttpContext
	value string
}

func (a *addHeader) OnHttpRequestHeaders(int, bool) types.Action {
	proxywasm.ReplaceHttpRequestHeader("x-hello", a.value)
	return types.ActionContinue
}

func (a *addHeader) OnHttpResponseHeaders(int, bool) types.Action {
	proxywasm.ReplaceHttpResponseHeader("x-hello", a.value)
	return types.ActionContinue
}
