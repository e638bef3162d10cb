package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"benchmark/plugin"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

const skew = 30

func main() {}

type settings struct {
	Keys []struct {
		K string `json:"k"`
	} `json:"keys"`
	Issuer       string            `json:"issuer"`
	Audiences    []string          `json:"audiences"`
	ClaimHeaders map[string]string `json:"claim_headers"`
	key          []byte
}

func init() {
	plugin.Register(
		func(given []byte) (*settings, error) {
			read := new(settings)
			err := json.Unmarshal(given, read)
			if err == nil {
				read.key, err = base64.RawURLEncoding.DecodeString(read.Keys[0].K)
			}
			return read, err
		},
		func(read *settings) types.HttpContext { return &check{settings: read} },
	)
}

type check struct {
	types.DefaultHttpContext
	*settings
}

func object(part string) (map[string]any, error) {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, err
	}
	var read map[string]any
	err = json.Unmarshal(text, &read)
	return read, err
}

func (c *check) verify(authorization string) (map[string]any, bool) {
	scheme, token, _ := strings.Cut(authorization, " ")
	parts := strings.Split(token, ".")
	if !strings.EqualFold(scheme, "bearer") || len(parts) != 3 {
		return nil, false
	}
	head, err := object(parts[0])
	if err != nil || head["alg"] != "HS256" {
		return nil, false
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	mac := hmac.New(sha256.New, c.key)
	mac.Write([]byte(token[:len(parts[0])+1+len(parts[1])]))
	if err != nil || !hmac.Equal(mac.Sum(nil), signature) {
		return nil, false
	}
	claims, err := object(parts[1])
	if err != nil {
		return nil, false
	}
	now := float64(time.Now().Unix())
	expiry, ok := claims["exp"].(float64)
	if !ok || now >= expiry+skew {
		return nil, false
	}
	if begin, there := claims["nbf"].(float64); there && now < begin-skew {
		return nil, false
	}
	return claims, claims["iss"] == c.Issuer && c.forUs(claims["aud"])
}

func (c *check) forUs(audience any) bool {
	named, several := audience.([]any)
	if !several {
		named = []any{audience}
	}
	return slices.ContainsFunc(named, func(name any) bool {
		text, ok := name.(string)
		return ok && slices.Contains(c.Audiences, text)
	})
}

func (c *check) OnHttpRequestHeaders(int, bool) types.Action {
	given, _ := proxywasm.GetHttpRequestHeader("authorization")
	claims, valid := c.verify(given)
	if !valid {
		proxywasm.SendHttpResponse(401, [][2]string{{"www-authenticate", "Bearer"}}, []byte("the token is refused\n"), -1)
		return types.ActionPause
	}
	for name, claim := range c.ClaimHeaders {
		if value, there := claims[claim]; there {
			proxywasm.ReplaceHttpRequestHeader(name, fmt.Sprint(value))
		} else {
			proxywasm.RemoveHttpRequestHeader(name)
		}
	}
	proxywasm.RemoveHttpRequestHeader("authorization")
	return types.ActionContinue
}
