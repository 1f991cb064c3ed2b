package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"lembra"
	"lembra/internal/access"
	"lembra/internal/admit"
	"lembra/internal/api"
	"lembra/internal/embed/static"
	"lembra/internal/engine"
	"lembra/internal/index"
	"lembra/internal/observe"
	"lembra/internal/pebblestore"
)

// Config holds the settings of "lembra serve". Each has a name in the file, such
// as admission.wait_max, and one in the environment, LEMBRA_ADMISSION_WAIT_MAX.
type Config struct {
	// Addr is the address to listen on.
	Addr string `koanf:"addr"`
	// TLSCert and TLSKey are PEM files of a certificate (with its chain) and its
	// key; with both empty the server speaks plain HTTP.
	TLSCert string `koanf:"tls_cert"`
	TLSKey  string `koanf:"tls_key"`
	// Data is the data folder.
	Data string `koanf:"data"`
	// AdminKey is the server's admin key, which manages tenants and keys; empty
	// for none.
	AdminKey string `koanf:"admin_key"`
	// ShelfMemory is the memory that the agents' indexes may take together.
	ShelfMemory Size `koanf:"shelf_memory"`
	// DiskReserve is the free disk space under which memories are refused,
	// DeleteReserve that under which deletions are, too.
	DiskReserve   Size `koanf:"disk_reserve"`
	DeleteReserve Size `koanf:"delete_reserve"`
	// ConnectionsMax bounds the open connections; the default is what fits under
	// the limit of open files.
	ConnectionsMax int `koanf:"connections_max"`
	// EmbeddingModel names the model that makes vectors, and VectorWeight is what
	// they weigh in a hybrid recall.
	EmbeddingModel string  `koanf:"embedding_model"`
	VectorWeight   float64 `koanf:"vector_weight"`

	Ranking   RankingConfig   `koanf:"ranking"`
	Admission AdmissionConfig `koanf:"admission"`
	Limits    LimitsConfig    `koanf:"limits"`
	Timeouts  TimeoutsConfig  `koanf:"timeouts"`
	Log       LogConfig       `koanf:"log"`
}

// RankingConfig chooses the rules that recalls are ranked by.
type RankingConfig struct {
	// Disable names rules that are left out, to see what they are worth.
	Disable RuleList `koanf:"disable"`
}

// A RuleList is names of rules (index.RuleNames), with commas in between.
type RuleList string

func (l RuleList) rules() (index.Rules, error) {
	rules, err := index.ParseRules(strings.FieldsFunc(string(l), func(r rune) bool { return r == ',' || r == ' ' }))
	if err != nil {
		return 0, fmt.Errorf("list of rules: %w", err)
	}
	return rules, nil
}

// AdmissionConfig bounds the requests at work and those that wait for it.
type AdmissionConfig struct {
	Work    int           `koanf:"work"`
	Waiters int           `koanf:"waiters"`
	WaitMax time.Duration `koanf:"wait_max"`
	// TenantShare is how much of the CPU is used while one tenant sends more than all
	// others together, who send too: that one is let in at a pace. 0 and 1 are for all.
	TenantShare float64 `koanf:"tenant_share"`
}

// LimitsConfig bounds what a request may hold: lembra.Limits, and the memory of
// all bodies at once, and of all answers that clients have not taken yet.
type LimitsConfig struct {
	ContentBytesMax  Size `koanf:"content_bytes_max"`
	MetadataBytesMax Size `koanf:"metadata_bytes_max"`
	BodyBytesMax     Size `koanf:"body_bytes_max"`
	BodiesBytesMax   Size `koanf:"bodies_bytes_max"`
	IDCharsMax       int  `koanf:"id_chars_max"`
	JSONDepthMax     int  `koanf:"json_depth_max"`
	BatchMax         int  `koanf:"batch_max"`
	TopKMax          int  `koanf:"top_k_max"`
	PageMax          int  `koanf:"page_max"`
	ForgetMax        int  `koanf:"forget_max"`
	RecallAgentsMax  int  `koanf:"recall_agents_max"`
	FilterNodesMax   int  `koanf:"filter_nodes_max"`
	// How many requests a tenant, and a key, may send in a second, and how many at
	// once after a rest; 0 for no bound, and for a burst of a second's.
	TenantRequestsPerSecond int `koanf:"tenant_requests_per_second"`
	TenantRequestsBurst     int `koanf:"tenant_requests_burst"`
	KeyRequestsPerSecond    int `koanf:"key_requests_per_second"`
	KeyRequestsBurst        int `koanf:"key_requests_burst"`
	// TenantMemoriesMax is how many memories a tenant may have; 0 for no bound.
	TenantMemoriesMax int `koanf:"tenant_memories_max"`
}

// TimeoutsConfig bounds what a connection or request may take.
type TimeoutsConfig struct {
	Request time.Duration `koanf:"request"` // once its header is read
	Header  time.Duration `koanf:"header"`  // to send a header
	Body    time.Duration `koanf:"body"`    // to send a body
	Idle    time.Duration `koanf:"idle"`    // a connection at rest
	Drain   time.Duration `koanf:"drain"`   // requests in flight when the server is told to end
}

// LogConfig chooses the log's lines.
type LogConfig struct {
	Level  string `koanf:"level"`  // debug, info, warn or error
	Format string `koanf:"format"` // text or json
}

// The defaults of Config that are not another package's. The default of
// shelf_memory is a quarter of the machine's memory.
const (
	DefaultAddr         = "127.0.0.1:8080"
	DefaultData         = "./lembra-data"
	DefaultLogLevel     = "info"
	DefaultLogFormat    = "text"
	DefaultDrainTimeout = 30 * time.Second

	shelfMemoryShare = 4
	shelfMemoryMin   = 16 << 20
	// shelfMemoryUnknown is the default on a machine that does not tell its memory.
	shelfMemoryUnknown = 1 << 30
	// descriptorsUnknown is what POSIX systems give at the least.
	descriptorsUnknown = 1024
)

func defaultConfig() Config {
	l := lembra.DefaultLimits()
	return Config{
		Addr: DefaultAddr, Data: DefaultData,
		ShelfMemory:    defaultShelfMemory(),
		DiskReserve:    pebblestore.DefaultReserveBytes,
		DeleteReserve:  pebblestore.DefaultDeleteReserveBytes,
		ConnectionsMax: defaultConnections(),
		EmbeddingModel: static.Name,
		VectorWeight:   engine.DefaultVectorWeight,
		Admission:      AdmissionConfig{Work: admit.DefaultWork(), Waiters: admit.DefaultWaiters, WaitMax: admit.DefaultWaitMax, TenantShare: admit.DefaultTenantShare},
		Limits: LimitsConfig{
			ContentBytesMax: Size(l.ContentBytesMax), MetadataBytesMax: Size(l.MetadataBytesMax),
			BodyBytesMax: Size(l.BodyBytesMax), BodiesBytesMax: api.DefaultBodiesBytesMax,
			IDCharsMax: l.IDCharsMax, JSONDepthMax: l.JSONDepthMax, BatchMax: l.BatchMax, TopKMax: l.TopKMax,
			PageMax: l.PageMax, ForgetMax: l.ForgetMax, RecallAgentsMax: l.RecallAgentsMax, FilterNodesMax: l.FilterNodesMax,
		},
		Timeouts: TimeoutsConfig{
			Request: api.DefaultRequestTimeout, Header: api.DefaultHeaderTimeout, Body: api.DefaultBodyTimeout,
			Idle: api.DefaultIdleTimeout, Drain: DefaultDrainTimeout,
		},
		Log: LogConfig{Level: DefaultLogLevel, Format: DefaultLogFormat},
	}
}

func defaultShelfMemory() Size {
	n, err := observe.Memory()
	if err != nil {
		return shelfMemoryUnknown
	}
	return Size(max(n/shelfMemoryShare, shelfMemoryMin)).rounded()
}

// defaultConnections is as many as fit under the limit of descriptors. Where that
// is too low for a server, the server's start says so.
func defaultConnections() int {
	b, err := admit.NewBudget(descriptorLimit(), 0)
	if err != nil {
		return 1
	}
	return b.Connections
}

// descriptorLimit raises the limit of descriptors as far as the process may, and
// returns it.
func descriptorLimit() uint64 {
	limit, err := observe.RaiseDescriptorLimit()
	if err != nil {
		return descriptorsUnknown
	}
	return limit
}

func (l LimitsConfig) limits() lembra.Limits {
	return lembra.Limits{
		ContentBytesMax: int(l.ContentBytesMax), MetadataBytesMax: int(l.MetadataBytesMax), BodyBytesMax: int(l.BodyBytesMax),
		IDCharsMax: l.IDCharsMax, JSONDepthMax: l.JSONDepthMax, BatchMax: l.BatchMax, TopKMax: l.TopKMax,
		PageMax: l.PageMax, ForgetMax: l.ForgetMax, RecallAgentsMax: l.RecallAgentsMax, FilterNodesMax: l.FilterNodesMax,
	}
}

// validate checks every setting, and names each that is wrong.
func (c *Config) validate() error {
	var errs []error
	bad := func(setting, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", setting, fmt.Sprintf(format, args...)))
	}
	if err := validAddr(c.Addr); err != nil {
		bad("addr", "%v", err)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		bad("tls_cert", "works together with tls_key alone: set both, or neither for plain HTTP")
	}
	if c.Data == "" {
		bad("data", "must name a folder")
	}
	if n := len([]rune(c.AdminKey)); n > 0 && n < access.AdminKeyCharsMin {
		bad("admin_key", "has %d characters, and needs at least %d: \"openssl rand -hex 32\" makes one", n, access.AdminKeyCharsMin)
	}
	if c.ShelfMemory < shelfMemoryMin {
		bad("shelf_memory", "must be at least %s", Size(shelfMemoryMin))
	}
	if c.DeleteReserve < 1 {
		bad("delete_reserve", "must be at least 1 byte")
	}
	if c.DiskReserve < c.DeleteReserve {
		bad("disk_reserve", "must not be less than delete_reserve (%s)", c.DeleteReserve)
	}
	if models := embeddingModels(); !slices.Contains(models, c.EmbeddingModel) {
		bad("embedding_model", "%q is unknown: use %s", c.EmbeddingModel, strings.Join(models, " or "))
	}
	if !(c.VectorWeight >= 0 && c.VectorWeight <= 1) {
		bad("vector_weight", "must be between 0 and 1")
	}
	if !(c.Admission.TenantShare >= 0 && c.Admission.TenantShare <= 1) {
		bad("admission.tenant_share", "must be between 0 and 1")
	}
	if _, err := c.Ranking.Disable.rules(); err != nil {
		bad("ranking.disable", "%v", err)
	}
	if _, err := observe.NewLogger(nil, c.Log.Level, DefaultLogFormat); err != nil {
		bad("log.level", "%q is unknown: use debug, info, warn or error", c.Log.Level)
	}
	if _, err := observe.NewLogger(nil, DefaultLogLevel, c.Log.Format); err != nil {
		bad("log.format", "%q is unknown: use text or json", c.Log.Format)
	}
	for setting, n := range c.counts() {
		if n < 1 {
			bad(setting, "must be at least 1")
		}
	}
	for setting, n := range c.rates() {
		if n < 0 {
			bad(setting, "must be at least 0, which means no bound")
		}
	}
	for setting, d := range c.durations() {
		if d < time.Millisecond {
			bad(setting, "must be at least 1ms")
		}
	}
	if c.Limits.BodyBytesMax < c.Limits.ContentBytesMax {
		bad("limits.body_bytes_max", "must not be less than limits.content_bytes_max (%s)", c.Limits.ContentBytesMax)
	}
	if c.Limits.BodiesBytesMax < c.Limits.BodyBytesMax {
		bad("limits.bodies_bytes_max", "must not be less than limits.body_bytes_max (%s)", c.Limits.BodyBytesMax)
	}
	return errors.Join(errs...)
}

func (c *Config) counts() map[string]int64 {
	l := c.Limits
	return map[string]int64{
		"connections_max": int64(c.ConnectionsMax), "admission.work": int64(c.Admission.Work), "admission.waiters": int64(c.Admission.Waiters),
		"limits.content_bytes_max": int64(l.ContentBytesMax), "limits.metadata_bytes_max": int64(l.MetadataBytesMax),
		"limits.body_bytes_max": int64(l.BodyBytesMax), "limits.id_chars_max": int64(l.IDCharsMax),
		"limits.json_depth_max": int64(l.JSONDepthMax), "limits.batch_max": int64(l.BatchMax), "limits.top_k_max": int64(l.TopKMax),
		"limits.page_max": int64(l.PageMax), "limits.forget_max": int64(l.ForgetMax),
		"limits.recall_agents_max": int64(l.RecallAgentsMax), "limits.filter_nodes_max": int64(l.FilterNodesMax),
	}
}

func (c *Config) rates() map[string]int {
	l := c.Limits
	return map[string]int{
		"limits.tenant_requests_per_second": l.TenantRequestsPerSecond, "limits.tenant_requests_burst": l.TenantRequestsBurst,
		"limits.key_requests_per_second": l.KeyRequestsPerSecond, "limits.key_requests_burst": l.KeyRequestsBurst,
		"limits.tenant_memories_max": l.TenantMemoriesMax,
	}
}

func (c *Config) durations() map[string]time.Duration {
	return map[string]time.Duration{
		"admission.wait_max": c.Admission.WaitMax, "timeouts.request": c.Timeouts.Request, "timeouts.header": c.Timeouts.Header,
		"timeouts.body": c.Timeouts.Body, "timeouts.idle": c.Timeouts.Idle, "timeouts.drain": c.Timeouts.Drain,
	}
}

func validAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is no address: use host:port, such as %s", addr, DefaultAddr)
	}
	return nil
}
