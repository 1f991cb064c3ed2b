package lembra

import "time"

// Limits bound what a request may hold.
type Limits struct {
	ContentBytesMax  int // of one memory, and of a query
	MetadataBytesMax int // of one memory's metadata as JSON
	BodyBytesMax     int // of a request's body
	IDCharsMax       int // of any id: memory, tenant, agent, user, session, speaker, key name
	JSONDepthMax     int // of a request's body
	BatchMax         int // memories in POST /memorize/batch
	TopKMax          int // results of POST /recall
	PageMax          int // entries of a page
	ForgetMax        int // memories deleted by one POST /forget
	RecallAgentsMax  int // agents asked by one POST /recall without agent_id
	FilterNodesMax   int // conditions and combinations of a filter, list values included
}

// The default limits, and other defaults of the API.
const (
	DefaultContentBytesMax  = 32 << 10
	DefaultMetadataBytesMax = 4 << 10
	DefaultBodyBytesMax     = 4 << 20
	DefaultIDCharsMax       = 128
	DefaultJSONDepthMax     = 32
	DefaultBatchMax         = 1000
	DefaultTopKMax          = 100
	DefaultPageMax          = 1000
	DefaultForgetMax        = 10_000
	DefaultRecallAgentsMax  = 256
	DefaultFilterNodesMax   = 1000

	DefaultTopK     = 10
	DefaultPage     = 100
	StatsAgentsMax  = 1000 // agents named by GET /tenants/{id}/stats
	RecencyHalfLife = 30 * 24 * time.Hour
)

// DefaultLimits returns the default limits.
func DefaultLimits() Limits {
	return Limits{
		ContentBytesMax:  DefaultContentBytesMax,
		MetadataBytesMax: DefaultMetadataBytesMax,
		BodyBytesMax:     DefaultBodyBytesMax,
		IDCharsMax:       DefaultIDCharsMax,
		JSONDepthMax:     DefaultJSONDepthMax,
		BatchMax:         DefaultBatchMax,
		TopKMax:          DefaultTopKMax,
		PageMax:          DefaultPageMax,
		ForgetMax:        DefaultForgetMax,
		RecallAgentsMax:  DefaultRecallAgentsMax,
		FilterNodesMax:   DefaultFilterNodesMax,
	}
}
