package report

import (
	"bytes"
	"fmt"
	"html"
	"html/template"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/util"
)

// plotFolder stands for the folder of the plots in the Markdown that becomes
// HTML.
const plotFolder = "plots"

// HTML writes the report as one file: its plots are in it, and it asks for
// nothing else.
func (r *Report) HTML() ([]byte, error) {
	markdown, err := r.Markdown(plotFolder)
	if err != nil {
		return nil, err
	}
	plots := map[string][]byte{}
	for _, p := range r.Plots() {
		plots[plotFolder+"/"+p.File()] = p.SVG
	}
	converter := goldmark.New(
		goldmark.WithExtensions(extension.Table),
		goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(inlined{plots}, 1))),
	)
	var body bytes.Buffer
	if err := converter.Convert(markdown, &body); err != nil {
		return nil, fmt.Errorf("convert report to HTML: %w", err)
	}
	frame, err := template.ParseFS(texts, "texts/report.html.tmpl")
	if err != nil {
		return nil, fmt.Errorf("parse page: %w", err)
	}
	title, err := r.writer.say("title", newFacts(r.source))
	if err != nil {
		return nil, err
	}
	var page bytes.Buffer
	err = frame.Execute(&page, struct {
		Language Language
		Title    string
		Body     template.HTML
	}{r.writer.language, title, template.HTML(body.String())}) // goldmark leaves no HTML of others in it
	if err != nil {
		return nil, fmt.Errorf("write page: %w", err)
	}
	return page.Bytes(), nil
}

// inlined puts the plots themselves where Markdown links to them.
type inlined struct{ plots map[string][]byte }

// RegisterFuncs has goldmark ask for images.
func (n inlined) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(ast.KindImage, n.image)
}

func (n inlined) image(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	image, ok := node.(*ast.Image)
	if !ok || !entering {
		return ast.WalkContinue, nil
	}
	svg := n.plots[string(image.Destination)]
	if _, after, ok := bytes.Cut(svg, []byte("<svg")); ok { // without the XML declaration
		svg = append([]byte("<svg"), after...)
	}
	var caption bytes.Buffer
	for child := node.FirstChild(); child != nil; child = child.NextSibling() {
		if text, ok := child.(*ast.Text); ok {
			caption.Write(text.Segment.Value(source))
		}
	}
	_, err := fmt.Fprintf(w, "<span class=\"plot\" role=\"img\" aria-label=\"%s\">%s</span><small>%[1]s</small>",
		html.EscapeString(caption.String()), svg)
	return ast.WalkSkipChildren, err // goldmark passes it on
}
