package main

import (
	"context"
	"os"
	"runtime"
	"time"
)

func checkClock(_ context.Context, p *patient) []finding {
	if p.trust == nil {
		return nil
	}
	clock := p.trust.Clock()
	if text := clock.Warning(); text != "" {
		return said(isBad, "clock.wrong", text, "doctor.clock.set")
	}
	if heard := p.network.Heard(); heard.Server != "" {
		if text := clock.Doubt(heard.Server, heard.Time); text != "" {
			return said(isWarning, "clock.doubt", text, "doctor.clock.set")
		}
	}
	if current, err := p.trust.Current(); err == nil {
		if text := clock.Ahead(current.Expires); text != "" {
			return said(isWarning, "clock.ahead", text, "doctor.clock.set")
		}
	}
	return good("doctor.clock.good", "now", clock.Now.Local().Format("2006-01-02 15:04 MST"))
}

func checkZone(_ context.Context, p *patient) []finding {
	if p.config != nil && p.config.TimeZone != "" {
		return good("doctor.zone.good", "zone", p.config.TimeZone)
	}
	if p.trust != nil {
		if current, err := p.trust.Current(); err == nil && current.Fleet.Policy.TimeZone != "" {
			return good("doctor.zone.good", "zone", current.Fleet.Policy.TimeZone)
		}
	}
	_, err := os.Stat("/etc/localtime")
	if os.Getenv("TZ") == "" && err != nil && runtime.GOOS != "windows" {
		return warn("doctor.zone.none", "doctor.zone.add", "file", p.paths.Config())
	}
	return good("doctor.zone.good", "zone", time.Now().Format("MST -07:00"))
}
