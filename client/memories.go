package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"lembra"
)

// Memorize stores a memory: where it returns nil, the memory is on disk and can
// be recalled.
func (c *Client) Memorize(ctx context.Context, m lembra.MemorizeRequest, options ...CallOption) (lembra.Memorized, error) {
	return call[lembra.Memorized](ctx, c, newRequest(http.MethodPost, "/memorize", nil, m).named(), options...)
}

// MemorizeBatch stores memories, each on its own: the results are in the order
// of the request, and each has its own error.
func (c *Client) MemorizeBatch(ctx context.Context, memories []lembra.MemorizeRequest, options ...CallOption) ([]lembra.MemorizeOutcome, error) {
	r := newRequest(http.MethodPost, "/memorize/batch", nil, lembra.MemorizeBatchRequest{Memories: memories}).named()
	answer, err := call[lembra.MemorizeBatchResponse](ctx, c, r, options...)
	if err != nil {
		return nil, err
	}
	if len(answer.Results) != len(memories) {
		return nil, fmt.Errorf("the server answered %d results for %d memories", len(answer.Results), len(memories))
	}
	return answer.Results, nil
}

// Recall returns the memories that matter for a query, best first.
func (c *Client) Recall(ctx context.Context, q lembra.Query) (lembra.RecallResponse, error) {
	r := newRequest(http.MethodPost, "/recall", nil, q)
	r.repeatable = true
	return call[lembra.RecallResponse](ctx, c, r)
}

// ofAgent is a memory's path. agentID may be empty: then the id is looked up in
// all agents, and it is an error where several have it.
func ofAgent(agentID, memoryID, rest string) (string, url.Values) {
	query := url.Values{}
	if agentID != "" {
		query.Set("agent_id", agentID)
	}
	return "/memories/" + segment(memoryID) + rest, query
}

// Get returns a memory. agentID may be empty where no other agent has the id.
func (c *Client) Get(ctx context.Context, agentID, memoryID string) (lembra.Memory, error) {
	path, query := ofAgent(agentID, memoryID, "")
	return call[lembra.Memory](ctx, c, newRequest(http.MethodGet, path, query, nil))
}

// History returns all versions of a memory, oldest first. agentID as in Get.
func (c *Client) History(ctx context.Context, agentID, memoryID string) ([]lembra.Memory, error) {
	path, query := ofAgent(agentID, memoryID, "/history")
	var versions []lembra.Memory
	for {
		answer, err := call[lembra.HistoryResponse](ctx, c, newRequest(http.MethodGet, path, query, nil))
		if err != nil {
			return nil, err
		}
		page := answer.Versions
		if len(versions) > 0 && (len(page) == 0 || page[len(page)-1].Version != versions[0].Version-1 || !page[0].CreatedAt.Equal(versions[0].CreatedAt)) {
			return nil, &lembra.Error{Code: lembra.CodeConflict, Message: "the memory was stored anew while its history was read: read it again"}
		}
		if versions = append(page, versions...); len(versions) == 0 || versions[0].Version == 1 {
			return versions, nil
		}
		query.Set("before", strconv.FormatUint(versions[0].Version, 10))
	}
}

// Patch changes fields of a memory and returns its new version. agentID as in Get.
func (c *Client) Patch(ctx context.Context, agentID, memoryID string, patch lembra.PatchRequest, options ...CallOption) (lembra.Memory, error) {
	path, query := ofAgent(agentID, memoryID, "")
	return call[lembra.Memory](ctx, c, newRequest(http.MethodPatch, path, query, patch), options...)
}

// Delete deletes a memory with all its versions. agentID as in Get.
func (c *Client) Delete(ctx context.Context, agentID, memoryID string, options ...CallOption) error {
	path, query := ofAgent(agentID, memoryID, "")
	_, err := call[struct{}](ctx, c, newRequest(http.MethodDelete, path, query, nil), options...)
	return err
}

// List returns a page of memories, newest first.
func (c *Client) List(ctx context.Context, q lembra.ListQuery) (lembra.MemoryPage, error) {
	query := url.Values{}
	set := func(name, value string) {
		if value != "" {
			query.Set(name, value)
		}
	}
	set("agent_id", q.AgentID)
	set("user_id", q.UserID)
	set("session_id", q.SessionID)
	set("since", timeText(q.Since))
	set("until", timeText(q.Until))
	set("cursor", q.Cursor)
	if q.Limit != 0 {
		set("limit", strconv.Itoa(q.Limit))
	}
	if q.Filter != nil {
		b, err := json.Marshal(q.Filter)
		if err != nil {
			return lembra.MemoryPage{}, fmt.Errorf("encode filter: %w", err)
		}
		set("filter", string(b))
	}
	return call[lembra.MemoryPage](ctx, c, newRequest(http.MethodGet, "/memories", query, nil))
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

// Forget deletes what the request matches, or counts it.
func (c *Client) Forget(ctx context.Context, f lembra.ForgetRequest) (lembra.ForgetResponse, error) {
	r := newRequest(http.MethodPost, "/forget", nil, f)
	r.repeatable = f.DryRun
	return call[lembra.ForgetResponse](ctx, c, r)
}

// Agents returns a page of agents; the cursor is empty for the first, and a limit
// of 0 is the server's default.
func (c *Client) Agents(ctx context.Context, cursor string, limit int) (lembra.AgentPage, error) {
	query := url.Values{}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	if limit != 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	return call[lembra.AgentPage](ctx, c, newRequest(http.MethodGet, "/agents", query, nil))
}

// DeleteAgent deletes an agent with all its memories.
func (c *Client) DeleteAgent(ctx context.Context, agentID string) error {
	_, err := call[struct{}](ctx, c, newRequest(http.MethodDelete, "/agents/"+segment(agentID), nil, nil))
	return err
}

// Stats counts the memories of the key's tenant, which must be named.
func (c *Client) Stats(ctx context.Context, tenantID string) (lembra.Stats, error) {
	return call[lembra.Stats](ctx, c, newRequest(http.MethodGet, "/tenants/"+segment(tenantID)+"/stats", nil, nil))
}
