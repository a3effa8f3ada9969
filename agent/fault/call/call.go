// Package call puts fault points around the calls of an HTTP client, one before the request and one after the answer. A release build
// leaves the client alone.
package call

import "github.com/docker/docker/client"

// Engine is an option for a client of the Docker Engine. Its points are named after what is asked for: "engine/containers-create/before".
// It stands after the options that say where the engine is.
func Engine(c *client.Client) error { return watch(c) }
