package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lembra/internal/api"
)

// An operation is what the OpenAPI document says of a method and a path.
type operation struct {
	id, method, path string
	scope            string // x-lembra-scope
	places           []place
	headers          []string // that it may have
	body             bool
}

func (op operation) String() string { return op.method + " " + op.path }

// A place is where a request names something: a parameter or a property of the
// body, marked with x-lembra-id.
type place struct {
	kind string // memory, agent, tenant …: x-lembra-id
	in   string // path, query or body
	name string // of a property of the body its path, such as memories[0].agent_id
}

func (p place) String() string { return p.kind + " in " + p.in + " " + p.name }

// A schemaReader finds the places of the OpenAPI document.
type schemaReader struct {
	t    testing.TB
	root map[string]any
	// open are the schemas under way: one within itself is not entered again.
	open []string
	// found are the places of the operation being read.
	found []place
}

// readOperations reads the OpenAPI document, in the order of paths and methods.
func readOperations(t testing.TB) []operation {
	t.Helper()
	r := schemaReader{t: t}
	if err := json.Unmarshal(api.OpenAPI(), &r.root); err != nil {
		t.Fatal(err)
	}
	var operations []operation
	paths := r.root["paths"].(map[string]any)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := paths[path].(map[string]any)
		for _, method := range slices.Sorted(maps.Keys(item)) {
			if method == "parameters" || strings.HasPrefix(method, "$") {
				t.Fatalf("%s: %s beside its operations is not read here", path, method)
			}
			operations = append(operations, r.operation(path, method, item[method].(map[string]any)))
		}
	}
	if len(operations) == 0 {
		t.Fatal("the OpenAPI document has no operations")
	}
	return operations
}

func (r *schemaReader) operation(path, method string, o map[string]any) operation {
	op := operation{method: strings.ToUpper(method), path: path}
	op.id, _ = o["operationId"].(string)
	op.scope, _ = o["x-lembra-scope"].(string)
	r.found = nil
	parameters, _ := o["parameters"].([]any)
	for _, p := range parameters {
		parameter := r.resolve(p.(map[string]any))
		name, in := parameter["name"].(string), parameter["in"].(string)
		if in == "header" {
			op.headers = append(op.headers, name)
			continue
		}
		r.note(parameter, place{in: in, name: name})
	}
	if body, ok := o["requestBody"].(map[string]any); ok {
		op.body = true
		content := r.resolve(body)["content"].(map[string]any)["application/json"].(map[string]any)
		r.walk(content["schema"].(map[string]any), "")
	}
	op.places = r.found
	return op
}

// note adds a place. What is called like an id must be one.
func (r *schemaReader) note(o map[string]any, at place) {
	at.kind, _ = o["x-lembra-id"].(string)
	name := at.name[strings.LastIndex(at.name, ".")+1:]
	switch {
	case at.kind != "":
		if !slices.Contains(r.found, at) {
			r.found = append(r.found, at)
		}
	case strings.HasSuffix(name, "_id"), name == "cursor", name == "filter":
		r.t.Errorf("%s %s has no x-lembra-id: it is attacked by nobody", at.in, at.name)
	}
}

// resolve follows a reference; what stands beside it overrides.
func (r *schemaReader) resolve(o map[string]any) map[string]any {
	ref, ok := o["$ref"].(string)
	if !ok {
		return o
	}
	target := any(r.root)
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		target = target.(map[string]any)[name]
	}
	merged := maps.Clone(r.resolve(target.(map[string]any)))
	for name, v := range o {
		if name != "$ref" {
			merged[name] = v
		}
	}
	return merged
}

// walk finds the places within a schema at a path of the body.
func (r *schemaReader) walk(schema map[string]any, at string) {
	if ref, ok := schema["$ref"].(string); ok {
		if slices.Contains(r.open, ref) {
			return
		}
		r.open = append(r.open, ref)
		defer func() { r.open = r.open[:len(r.open)-1] }()
	}
	schema = r.resolve(schema)
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		property := properties[name].(map[string]any)
		path := strings.TrimPrefix(at+"."+name, ".")
		r.note(r.resolve(property), place{in: "body", name: path})
		r.walk(property, path)
	}
	if items, ok := schema["items"].(map[string]any); ok {
		r.walk(items, at+"[0]")
	}
	for _, name := range []string{"oneOf", "anyOf", "allOf"} {
		list, _ := schema[name].([]any)
		for _, s := range list {
			r.walk(s.(map[string]any), at)
		}
	}
}

// A wireRequest is a request that can still be changed.
type wireRequest struct {
	op    operation
	path  map[string]string
	query map[string]string
	body  map[string]any // nil: none
}

// set puts a value in a place.
func (w *wireRequest) set(at place, value any) {
	text, ok := value.(string)
	if !ok && at.in != "body" {
		b, _ := json.Marshal(value) // plain maps and lists always marshal
		text = string(b)
	}
	switch at.in {
	case "path":
		w.path[at.name] = text
	case "query":
		w.query[at.name] = text
	default:
		w.body = setIn(w.body, strings.Split(at.name, "."), value).(map[string]any)
	}
}

// setIn returns v with a value put at a path, whose last parts may not be there yet.
func setIn(v any, path []string, value any) any {
	if len(path) == 0 {
		return value
	}
	name, index, isList := strings.Cut(path[0], "[")
	object, _ := v.(map[string]any)
	object = maps.Clone(object)
	if object == nil {
		object = map[string]any{}
	}
	if !isList {
		object[name] = setIn(object[name], path[1:], value)
		return object
	}
	i, _ := strconv.Atoi(strings.TrimSuffix(index, "]"))
	list, _ := object[name].([]any)
	list = slices.Clone(list)
	for len(list) <= i {
		list = append(list, nil)
	}
	list[i] = setIn(list[i], path[1:], value)
	object[name] = list
	return object
}
