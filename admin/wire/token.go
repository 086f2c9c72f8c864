package wire

import "time"

// The roles of tokens. Each of viewer, operator and admin may do what the ones before it may; application is for the store alone, node for joining only.
const (
	RoleApplication = "application"
	RoleViewer      = "viewer"
	RoleOperator    = "operator"
	RoleAdmin       = "admin"
	RoleNode        = "node"
)

// TokenRequest asks for a new token.
type TokenRequest struct {
	Role string `json:"role,omitempty" maxLength:"128" doc:"application, viewer, operator, admin, a role of the group, or node: a join token for one new node"`
	User string `json:"user,omitempty" maxLength:"128" doc:"whose it is, in place of role: it may do what that user may at each moment"`
	// TTLSeconds: 0 means never for an access token and one hour for a join token.
	TTLSeconds int64  `json:"ttlSeconds,omitempty" minimum:"0" maximum:"31622400" doc:"life in seconds; 0: for ever, of a join token one hour"`
	Note       string `json:"note,omitempty" maxLength:"256" doc:"what it is for"`
	// Clusters is for the role application.
	Clusters []string `json:"clusters,omitempty" maxItems:"100" doc:"role application: the clusters whose modules it may use; absent: all"`
}

// Token describes a token without its secret.
type Token struct {
	ID      string    `json:"id"`
	Role    string    `json:"role" doc:"empty of a token that belongs to a user"`
	User    string    `json:"user,omitempty" doc:"whom it belongs to"`
	Note    string    `json:"note,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero" doc:"absent: never"`
	Expired bool      `json:"expired"`
	// Clusters are those that a token of an application is bound to.
	Clusters []string `json:"clusters,omitempty" doc:"role application: the clusters that it is bound to; absent: all"`
	// UsedBy is the name of the node that a join token let in.
	UsedBy string `json:"usedBy,omitempty" doc:"the node that the join token let in"`
}

// NewToken is a token together with its secret, which is shown only here.
type NewToken struct {
	Token
	Secret string `json:"secret" doc:"the whole token (hft1.… or hfj1.…); shown only this once"`
}

// TokenList is all tokens of the group.
type TokenList struct {
	Tokens []Token `json:"tokens"`
}
