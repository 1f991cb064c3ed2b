package api

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lembra"
)

// A document is what the tests read of openapi.json.
type document struct {
	OpenAPI string
	Info    struct{ Version string }
	Paths   map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Scope       need   `json:"x-lembra-scope"`
		Parameters  []struct {
			Ref string `json:"$ref"`
		}
		Security    *[]map[string][]string
		RequestBody *struct{}
		Responses   map[string]any
	}
	Components struct {
		Parameters map[string]struct{ Name, In string }
		Schemas    map[string]schema
	}
}

type schema struct {
	Properties           map[string]any
	Required             []string
	AdditionalProperties any
	Enum                 []string
}

func readDocument(t *testing.T) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(OpenAPI(), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// The document describes the routes of the mux, all of them and no others, with
// their scopes and parameters.
func TestOpenAPIHasTheRoutes(t *testing.T) {
	d := readDocument(t)
	if d.OpenAPI != "3.1.0" || d.Info.Version != lembra.Version {
		t.Errorf("OpenAPI %s of version %s, want 3.1.0 of %s", d.OpenAPI, d.Info.Version, lembra.Version)
	}
	type line struct {
		Need       need
		Parameters []string
	}
	want, got := map[string]line{}, map[string]line{}
	for _, rt := range routes() {
		parameters := append([]string{}, rt.parameters...)
		slices.Sort(parameters)
		want[rt.method+" "+rt.path] = line{rt.need, parameters}
	}
	ids := map[string]bool{}
	for path, operations := range d.Paths {
		for method, op := range operations {
			name := strings.ToUpper(method) + " " + path
			parameters := []string{}
			inPath := 0
			for _, p := range op.Parameters {
				parameter, ok := d.Components.Parameters[strings.TrimPrefix(p.Ref, "#/components/parameters/")]
				switch {
				case !ok:
					t.Errorf("%s: no parameter %s", name, p.Ref)
				case parameter.In == "query":
					parameters = append(parameters, parameter.Name)
				case parameter.In == "path":
					inPath++
					if !strings.Contains(path, "{"+parameter.Name+"}") {
						t.Errorf("%s has no %s", name, parameter.Name)
					}
				}
			}
			if inPath != strings.Count(path, "{") {
				t.Errorf("%s describes %d parameters of its path", name, inPath)
			}
			slices.Sort(parameters)
			got[name] = line{op.Scope, parameters}
			if ids[op.OperationID] || op.OperationID == "" {
				t.Errorf("%s: operationId %q", name, op.OperationID)
			}
			ids[op.OperationID] = true
			if open := op.Security != nil && len(*op.Security) == 0; open != (op.Scope == needNone) {
				t.Errorf("%s: scope %s, but open: %t", name, op.Scope, open)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-mux +document):\n%s", diff)
	}
	// The table is what the mux has: each of its lines answers.
	l := newLab(t)
	for _, rt := range routes() {
		target := strings.NewReplacer("{memory_id}", "m", "{agent_id}", "a", "{tenant_id}", "acme", "{key_id}", "k").Replace(rt.path)
		if w := l.send(rt.method, target, "", ""); w.Code == 404 || w.Code == 405 {
			t.Errorf("%s %s: %d", rt.method, target, w.Code)
		}
	}
}

// Every object is closed and every type of the wire has its fields described.
func TestOpenAPIHasTheFields(t *testing.T) {
	d := readDocument(t)
	for name, v := range map[string]any{
		"MemorizeRequest": lembra.MemorizeRequest{}, "Memorized": lembra.Memorized{},
		"MemorizeBatchRequest": lembra.MemorizeBatchRequest{}, "MemorizeBatchResponse": lembra.MemorizeBatchResponse{},
		"Memory": lembra.Memory{}, "MemoryPage": lembra.MemoryPage{}, "History": lembra.HistoryResponse{},
		"Patch": lembra.PatchRequest{}, "Query": lembra.Query{}, "Weights": lembra.Weights{}, "Result": lembra.Result{},
		"Explanation": lembra.Explanation{}, "RecallResponse": lembra.RecallResponse{},
		"ForgetRequest": lembra.ForgetRequest{}, "ForgetResponse": lembra.ForgetResponse{},
		"AgentPage": lembra.AgentPage{}, "Stats": lembra.Stats{},
		"CreateTenantRequest": lembra.CreateTenantRequest{}, "Tenant": lembra.TenantInfo{}, "TenantList": lembra.TenantList{},
		"CreateKeyRequest": lembra.CreateKeyRequest{}, "Key": lembra.KeyInfo{}, "CreatedKey": lembra.CreatedKey{}, "KeyList": lembra.KeyList{},
		"Health": Health{}, "Usage": Usage{}, "Status": status{}, "Problem": Problem{},
	} {
		s, ok := d.Components.Schemas[name]
		if !ok {
			t.Errorf("no schema %s", name)
			continue
		}
		if s.AdditionalProperties != false {
			t.Errorf("%s lets other fields in", name)
		}
		var got []string
		for field := range s.Properties {
			got = append(got, field)
		}
		slices.Sort(got)
		if diff := cmp.Diff(fieldsOf(reflect.TypeOf(v)), got); diff != "" {
			t.Errorf("%s (-type +schema):\n%s", name, diff)
		}
	}
}

func fieldsOf(t reflect.Type) []string {
	var names []string
	for f := range t.Fields() {
		if f.Anonymous {
			names = append(names, fieldsOf(f.Type)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Every code of the vocabulary has its line in the table of statuses and in the
// document.
func TestCodes(t *testing.T) {
	codes := readDocument(t).Components.Schemas["Code"].Enum
	if len(codes) != 21 {
		t.Errorf("%d codes, want the vocabulary's 21", len(codes))
	}
	for _, code := range codes {
		status, title := statusOf(lembra.Code(code))
		if (status == 500) != (code == string(lembra.CodeInternal)) || title == "" {
			t.Errorf("%s has status %d and title %q", code, status, title)
		}
	}
}

func TestOpenAPIIsServed(t *testing.T) {
	l := newLab(t)
	wantBody(t, l.send("GET", "/openapi.json", "", ""), string(OpenAPI()))
}
