// Package plugin has what the filters have in common: a plugin that parses its configuration once, and hands it to each
// exchange.
package plugin

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

type vm[C any] struct {
	types.DefaultVMContext
	parse  func([]byte) (C, error)
	create func(C) types.HttpContext
}

type root[C any] struct {
	types.DefaultPluginContext
	vm            *vm[C]
	configuration C
}

// Register names how the configuration is read, and how the context of an exchange is made.
func Register[C any](parse func([]byte) (C, error), create func(C) types.HttpContext) {
	proxywasm.SetVMContext(&vm[C]{parse: parse, create: create})
}

func (v *vm[C]) NewPluginContext(uint32) types.PluginContext {
	return &root[C]{vm: v}
}

func (r *root[C]) OnPluginStart(int) types.OnPluginStartStatus {
	given, err := proxywasm.GetPluginConfiguration()
	if err == nil {
		r.configuration, err = r.vm.parse(given)
	}
	if err != nil {
		proxywasm.LogErrorf("bad configuration: %v", err)
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

func (r *root[C]) NewHttpContext(uint32) types.HttpContext {
	return r.vm.create(r.configuration)
}
