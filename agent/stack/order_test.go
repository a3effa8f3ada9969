package stack

import (
	"reflect"
	"testing"

	"github.com/docker/docker/api/types/container"
)

func TestLayers(t *testing.T) {
	for _, tt := range []struct {
		deps map[string][]string
		want [][]string
	}{
		{nil, nil},
		{map[string][]string{"b": {"a"}, "a": nil, "c": {"a", "b"}, "d": {"gone"}}, [][]string{{"a", "d"}, {"b"}, {"c"}}},
		{map[string][]string{"a": {"b"}, "b": {"a"}, "c": nil}, [][]string{{"c"}, {"a", "b"}}},
		{map[string][]string{"a": {"a"}}, [][]string{{"a"}}},
	} {
		if got := layers(tt.deps); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%v: %v, want %v", tt.deps, got, tt.want)
		}
	}
}

func TestStopOrder(t *testing.T) {
	c := func(id, service, deps string) container.Summary {
		return container.Summary{ID: id, Labels: map[string]string{labelService: service, "com.docker.compose.depends_on": deps}}
	}
	var got [][]string
	for _, g := range stopOrder([]container.Summary{
		c("1", "db", ""), c("2", "backend", "db:service_healthy:false"), c("3", "backend", ""),
		c("4", "gateway", "backend:service_started:true,db"), c("5", "", ""),
	}) {
		var ids []string
		for _, s := range g {
			ids = append(ids, s.ID)
		}
		got = append(got, ids)
	}
	if want := [][]string{{"4"}, {"2", "3"}, {"1", "5"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestDependsOn(t *testing.T) {
	for label, want := range map[string][]string{
		"": nil, ",": nil, "db": {"db"}, "db:service_healthy:false,cache:service_started:true": {"db", "cache"},
	} {
		if got := dependsOn(label); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v", label, got)
		}
	}
}

func TestSamePolicy(t *testing.T) {
	p := func(name string, n int) container.RestartPolicy {
		return container.RestartPolicy{Name: container.RestartPolicyMode(name), MaximumRetryCount: n}
	}
	if !samePolicy(p("", 0), p("no", 0)) || samePolicy(p("always", 0), p("no", 0)) || samePolicy(p("on-failure", 3), p("on-failure", 0)) {
		t.Error("policies are compared wrongly")
	}
}
