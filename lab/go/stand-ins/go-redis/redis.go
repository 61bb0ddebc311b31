// Package redis leaves the Redis client out of the lab's Traefik, which would count requests there for a rate limit.
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"time"
)

var errLeftOut = errors.New("the lab's Traefik is built without a Redis client (lab/go/README.md)")

// UniversalOptions are the options that Traefik sets.
type UniversalOptions struct {
	Addrs                                      []string
	Username, Password                         string
	DB, PoolSize, MinIdleConns, MaxActiveConns int
	DialTimeout, ReadTimeout, WriteTimeout     time.Duration
	TLSConfig                                  *tls.Config
}

// Cmd is an answer of any kind.
type Cmd struct{}

// BoolSliceCmd is an answer of truth values.
type BoolSliceCmd struct{}

// StringCmd is an answer of text.
type StringCmd struct{}

// IntCmd is an answer of a number.
type IntCmd struct{}

// Result is always an error.
func (*Cmd) Result() (any, error) {
	return nil, errLeftOut
}

// Client answers everything with an error.
type Client struct{}

// NewUniversalClient returns a client that answers everything with an error.
func NewUniversalClient(*UniversalOptions) *Client {
	return &Client{}
}

// Eval answers with an error.
func (*Client) Eval(context.Context, string, []string, ...any) *Cmd { return &Cmd{} }

// EvalSha answers with an error.
func (*Client) EvalSha(context.Context, string, []string, ...any) *Cmd { return &Cmd{} }

// EvalRO answers with an error.
func (*Client) EvalRO(context.Context, string, []string, ...any) *Cmd { return &Cmd{} }

// EvalShaRO answers with an error.
func (*Client) EvalShaRO(context.Context, string, []string, ...any) *Cmd { return &Cmd{} }

// ScriptExists answers nothing.
func (*Client) ScriptExists(context.Context, ...string) *BoolSliceCmd { return &BoolSliceCmd{} }

// ScriptLoad answers nothing.
func (*Client) ScriptLoad(context.Context, string) *StringCmd { return &StringCmd{} }

// Del answers nothing.
func (*Client) Del(context.Context, ...string) *IntCmd { return &IntCmd{} }

// Script is a script that never runs.
type Script struct{}

// NewScript returns a script that never runs.
func NewScript(string) *Script {
	return &Script{}
}

// Run answers with an error.
func (*Script) Run(context.Context, any, []string, ...any) *Cmd {
	return &Cmd{}
}
