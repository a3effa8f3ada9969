package main

import (
	"context"
	"errors"

	"dhow/agent/api"
	"dhow/agent/engine"
	"dhow/agent/site"
)

// engineOf names the engine of a site: that of its configuration, else the one that the docker command would use.
func engineOf(config *site.Config) (site.Endpoint, error) {
	e, err := site.OwnEngine(config.Engine)
	if err == nil {
		return e, nil
	}
	kind, hint := "engine_spec", "say in dhow.yaml which one it is, such as engine: "+site.DefaultEngine()
	if errors.Is(err, site.ErrRemote) {
		kind, hint = "engine_remote", "use the engine of this computer, such as engine: "+site.DefaultEngine()+" in dhow.yaml; or unset DOCKER_HOST, docker context use default"
	}
	return e, api.Fail(api.CodeUsage, hint, "%v", err).In(kind, "cause", err.Error(), "address", site.DefaultEngine())
}

// hangs reports whether an engine is there and does not answer: to start it does nothing then.
func hangs(err error) bool {
	return errors.Is(err, context.DeadlineExceeded)
}

// connect prepares a connection to the engine of a site.
func connect(config *site.Config) (*engine.Engine, error) {
	e, err := engineOf(config)
	if err != nil {
		return nil, err
	}
	return engine.Connect(e.Address)
}
