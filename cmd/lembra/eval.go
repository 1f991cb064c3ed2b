package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"lembra"
	"lembra/client"
	"lembra/internal/engine"
	"lembra/internal/evaluate"
	"lembra/internal/observe"
)

const (
	// evalTopK is as far as the measures look.
	evalTopK = 50
	// evalLanes is how many batches are imported at once.
	evalLanes = 4
	// evalCleanupMax bounds the deletion of what was stored in a running server.
	evalCleanupMax = time.Minute
)

// evalOptions are the flags of an evaluation.
type evalOptions struct {
	connection

	corpus, questions string
	from              map[string]string
	oneAgent          bool
	mode, model       string
	topK              int
	apart             []string
	out, baseline     string
	svg, measure      string
	asJSON, ablate    bool
	// embedder is the model of the servers of its own: one, for all of them.
	embedder engine.Embedder
}

func (c *cli) evalCommand() *cobra.Command {
	var o evalOptions
	command := &cobra.Command{
		Use:   "eval --corpus FILE --questions FILE",
		Short: "Measure recall on a labelled set",
		Long: `Measure recall on a labelled set: memories, and questions with the memories that
answer them.

The memories are imported, through the API, into a server of the evaluation's own,
which has the settings of "lembra serve" (LEMBRA_… variables, --config) and goes
afterwards; or into the one of --url, under names of agents of their own, which
are deleted afterwards. Then every question is asked.

A file is JSON lines, or plain lines where its name ends in .txt: then the memory
that answers a question is that of the same line. One file may hold both, as lines
with a "type" of "doc" and "query". The fields are found by their usual names;
--map names others, as FIELD=NAME, several as FIELD=NAME+NAME (of content all
count, else the first that is there), and leaves one out as FIELD= . The fields:
agent_id, memory_id, content, session_id, speaker, occurred_at, position; qid,
query, evidence, category, and agent_id again.

recall@k is the share of a question's evidence among the first k results, MRR the
mean of one over the place of the first evidence, nDCG@10 the discounted gain of
the first ten; all in percent, averaged over the questions. The interval holds 95 %
of the figures of questions drawn anew (bootstrap; of differences, paired).`,
		Example: `  lembra eval --corpus corpus.jsonl --questions questions.jsonl --out today.jsonl
  lembra eval --corpus corpus.jsonl --questions questions.jsonl --mode lexical --baseline today.jsonl
  lembra eval --corpus por.txt --questions eng.txt
  LEMBRA_VECTOR_WEIGHT=0.1 lembra eval --corpus c.jsonl --questions q.jsonl --map session_id=,speaker=`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := c.config(command)
			if err != nil {
				return err
			}
			if err := o.check(&config); err != nil {
				return err
			}
			return c.eval(command.Context(), &o, config)
		},
	}
	o.declare(command)
	return command
}

func (o *evalOptions) declare(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&o.url, "url", "", "a running server's URL (default: a server of the evaluation's own)")
	flags.StringVar(&o.key, "key", "", "of --url: "+tenantKeyHelp)
	flags.String("config", "", "YAML file with settings of the own server (LEMBRA_CONFIG)")
	flags.StringVar(&o.corpus, "corpus", "", "file with the memories")
	flags.StringVar(&o.questions, "questions", "", "file with the questions; may be that of --corpus")
	flags.StringToStringVar(&o.from, "map", nil, "where fields come from: FIELD=NAME,…")
	flags.BoolVar(&o.oneAgent, "one-agent", false, "put the memories of all agents into one")
	flags.StringVar(&o.mode, "mode", string(lembra.ModeHybrid), "what to compare: hybrid, semantic or lexical")
	flags.StringVar(&o.model, "model", "", "embedding model of the own server (default: that of the settings)")
	flags.IntVar(&o.topK, "top-k", evalTopK, "how many memories to recall for each question")
	flags.StringSliceVar(&o.apart, "apart", []string{"adversarial"}, "categories that do not count among all")
	flags.StringVar(&o.out, "out", "", "file to write the rankings to: JSON lines of qid and ranked")
	flags.StringVar(&o.baseline, "baseline", "", "file of --out of another run on these questions, to compare with")
	flags.StringVar(&o.svg, "svg", "", "file to draw --measure to, by category")
	flags.StringVar(&o.measure, "measure", "recall@10", "what --svg draws, and what is compared by category")
	flags.BoolVar(&o.ablate, "ablate", false, "measure again without each rule of the ranking in turn, and without any")
	flags.BoolVar(&o.asJSON, "json", false, "print the report as JSON, figures from 0 to 1")
}

// check checks the flags, and sets in the settings what they say.
func (o *evalOptions) check(config *Config) error {
	if o.corpus == "" || o.questions == "" {
		return usagef("--corpus and --questions name the files of the set: both are needed, and may be one file")
	}
	if modes := []lembra.Mode{lembra.ModeHybrid, lembra.ModeSemantic, lembra.ModeLexical}; !slices.Contains(modes, lembra.Mode(o.mode)) {
		return usagef("--mode is %q: want one of %v", o.mode, modes)
	}
	if o.topK < 1 || o.topK > config.Limits.TopKMax {
		return usagef("--top-k is %d: must be between 1 and %d (limits.top_k_max)", o.topK, config.Limits.TopKMax)
	}
	if !slices.ContainsFunc(evaluate.Measures(o.topK), func(m evaluate.Measure) bool { return m.Name == o.measure }) {
		var names []string
		for _, m := range evaluate.Measures(o.topK) {
			names = append(names, m.Name)
		}
		return usagef("--measure is %q: with --top-k %d there are %s", o.measure, o.topK, strings.Join(names, ", "))
	}
	if o.ablate && (o.url != "" || o.baseline != "" || o.svg != "") {
		return usagef("--ablate is for servers of the evaluation's own, and compares with itself: it goes with neither --url nor --baseline nor --svg")
	}
	if o.model == "" {
		return nil
	}
	if o.url != "" {
		return usagef("--model is for a server of the evaluation's own: that of --url has the model it was started with")
	}
	config.EmbeddingModel = o.model
	if err := config.validate(); err != nil {
		return usagef("--model: %w", err)
	}
	return nil
}

// eval reads the set, evaluates it, and writes what came of it.
func (c *cli) eval(ctx context.Context, o *evalOptions, config Config) error {
	set, err := c.evalSet(o)
	if err != nil {
		return err
	}
	baseline, err := c.evalBaseline(o.baseline)
	if err != nil {
		return err
	}
	if o.url == "" {
		if o.embedder, err = newEmbedder(config.EmbeddingModel); err != nil {
			return err
		}
	}
	run, outcome, err := c.evalServer(ctx, o, config, set)
	if err != nil {
		return err
	}
	if outcome.Report, err = evaluate.Compare(set, o.topK, run, baseline, o.apart); err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	if o.out != "" {
		var b bytes.Buffer
		if err := evaluate.WriteRun(&b, run); err != nil {
			return fmt.Errorf("%s: %w", o.out, err)
		}
		if err := c.writeFile(o.out, b.Bytes()); err != nil {
			return err
		}
	}
	if o.svg != "" {
		svg, err := outcome.SVG(o.measure, strings.TrimSpace(outcome.Mode+" "+outcome.Model), filepath.Base(o.baseline))
		if err != nil {
			return fmt.Errorf("draw: %w", err)
		}
		if err := c.writeFile(o.svg, svg); err != nil {
			return err
		}
	}
	if o.ablate {
		if outcome.Ablation, err = c.ablate(ctx, o, config, set, run); err != nil {
			return err
		}
	}
	if o.asJSON {
		return c.printJSON(outcome)
	}
	return c.printOutcome(outcome, o.measure)
}

func (c *cli) evalSet(o *evalOptions) (evaluate.Set, error) {
	format, err := evaluate.DefaultFormat().With(o.from)
	if err != nil {
		return evaluate.Set{}, usagef("--map: %w", err)
	}
	corpus, _, err := c.openInput(o.corpus)
	if err != nil {
		return evaluate.Set{}, err
	}
	defer func() { _ = corpus.Close() }()
	questions, _, err := c.openInput(o.questions)
	if err != nil {
		return evaluate.Set{}, err
	}
	defer func() { _ = questions.Close() }()
	plain := func(path string) bool { return strings.EqualFold(filepath.Ext(path), ".txt") }
	set, err := evaluate.ReadSet(
		evaluate.Source{Reader: corpus, Plain: plain(o.corpus)},
		evaluate.Source{Reader: questions, Plain: plain(o.questions)}, format)
	if err != nil {
		return evaluate.Set{}, fmt.Errorf("%s, %s: %w", o.corpus, o.questions, err)
	}
	if n := len(set.Absent); n > 0 {
		c.note("lembra: %d pieces of evidence are not in the corpus, and cannot be recalled: %s", n, set.Absent[0])
	}
	if o.oneAgent {
		set = set.InOneAgent()
	}
	return set, nil
}

func (c *cli) evalBaseline(path string) (evaluate.Run, error) {
	if path == "" {
		return nil, nil
	}
	f, _, err := c.openInput(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	run, err := evaluate.ReadRun(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return run, nil
}

// evalServer evaluates a set on a server of its own, or on the one of --url.
func (c *cli) evalServer(ctx context.Context, o *evalOptions, config Config, set evaluate.Set) (run evaluate.Run, outcome evalOutcome, err error) {
	server := o.connection
	if server.url == "" {
		var stop func() error
		if server.url, server.key, stop, err = c.ownServer(ctx, config, o.embedder); err != nil {
			return nil, outcome, err
		}
		defer func() { err = errors.Join(err, stop()) }()
	} else {
		set = set.WithAgentPrefix("eval-" + strings.ToLower(rand.Text()[:8]) + "-")
	}
	cl, err := c.connect(&server)
	if err != nil {
		return nil, outcome, err
	}
	defer cl.Close()
	if o.url != "" {
		defer func() { err = errors.Join(err, forgetAgents(ctx, cl, set.Agents())) }()
	}
	return c.askSet(ctx, cl, o, set)
}

// askSet imports a set and asks its questions.
func (c *cli) askSet(ctx context.Context, cl *client.Client, o *evalOptions, set evaluate.Set) (evaluate.Run, evalOutcome, error) {
	outcome := evalOutcome{
		Memories: len(set.Memories), Agents: len(set.Agents()), Questions: len(set.Questions),
		Mode: o.mode, TopK: o.topK,
	}
	health, err := cl.Health(ctx)
	if err != nil {
		return nil, outcome, fmt.Errorf("reach the server: %w", err)
	}
	outcome.Model = health.Embedder.Model
	if err := c.importSet(ctx, cl, set); err != nil {
		return nil, outcome, err
	}
	asked := func() {}
	if isTerminal(c.stderr) {
		bar := progressbar.NewOptions(len(set.Questions),
			progressbar.OptionSetWriter(c.stderr), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true),
			progressbar.OptionSetDescription("asking"), progressbar.OptionClearOnFinish())
		asked = func() { _ = bar.Add(1) }
		defer func() { _ = bar.Finish() }()
	}
	run, latency, err := evaluate.Ask(ctx, cl, set, lembra.Query{Mode: lembra.Mode(o.mode), TopK: o.topK}, asked)
	if err != nil {
		return nil, outcome, contextError(ctx, err)
	}
	outcome.Latency = latency
	return run, outcome, nil
}

// ownServer starts a server with an empty data folder; stop ends it, and removes
// the folder.
func (c *cli) ownServer(ctx context.Context, config Config, embedder engine.Embedder) (url, key string, stop func() error, err error) {
	folder, err := os.MkdirTemp("", "lembra-eval-")
	if err != nil {
		return "", "", nil, fmt.Errorf("make data folder: %w", err)
	}
	config.Addr, config.Data = "127.0.0.1:0", filepath.Join(folder, "data")
	config.TLSCert, config.TLSKey = "", "" // no certificate is for 127.0.0.1
	l := &config.Limits                    // its only tenant is the evaluation
	l.TenantRequestsPerSecond, l.KeyRequestsPerSecond, l.TenantMemoriesMax = 0, 0, 0
	logger, err := observe.NewLogger(c.stderr, "warn", config.Log.Format)
	if err != nil {
		return "", "", nil, errors.Join(fmt.Errorf("open log: %w", err), os.RemoveAll(folder))
	}
	p, err := OpenProgram(ctx, config, logger, Parts{Embedder: embedder, Fatal: c.endFatally})
	if err != nil {
		return "", "", nil, errors.Join(fmt.Errorf("start server: %w", err), os.RemoveAll(folder))
	}
	// It outlives an interrupt, until its client is done.
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var (
		group  sync.WaitGroup
		served error
	)
	group.Go(func() { served = p.Run(inner) })
	stop = func() error {
		cancel()
		group.Wait()
		return errors.Join(served, p.Close(), os.RemoveAll(folder))
	}
	if key, err = readKeyFile(filepath.Join(config.Data, keyFileName)); err != nil {
		return "", "", nil, errors.Join(err, stop())
	}
	return p.URL(), key, stop, nil
}

// importSet imports the memories of a set.
func (c *cli) importSet(ctx context.Context, cl *client.Client, set evaluate.Set) error {
	var lines bytes.Buffer
	for _, m := range set.Memories {
		b, err := json.Marshal(m)
		if err != nil {
			return fmt.Errorf("import %s: %w", m.MemoryID, err)
		}
		lines.Write(append(b, '\n'))
	}
	quiet := &cli{stdout: io.Discard, stderr: c.stderr}
	options := importOptions{batch: importBatchDefault, lanes: evalLanes}
	return newImporter(quiet, cl, options, c.progress(int64(lines.Len()))).run(ctx, &lines)
}

// forgetAgents deletes agents, even after an interrupt.
func forgetAgents(ctx context.Context, cl *client.Client, agents []string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), evalCleanupMax)
	defer cancel()
	for _, agent := range agents {
		err := cl.DeleteAgent(ctx, agent)
		if e, ok := errors.AsType[*lembra.Error](err); ok && e.Code == lembra.CodeNotFound {
			continue // nothing of it was imported
		}
		if err != nil {
			return fmt.Errorf("delete the agent %s: %w", agent, err)
		}
	}
	return nil
}
