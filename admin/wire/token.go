package wire

import "time"

// The roles of tokens. Each of the first three may do what the ones before it may; node is for joining only.
const (
	RoleViewer   = "viewer"
	RoleOperator = "operator"
	RoleAdmin    = "admin"
	RoleNode     = "node"
)

// TokenRequest asks for a new token.
type TokenRequest struct {
	Role string `json:"role" enum:"viewer,operator,admin,node" doc:"node: a join token for one new node"`
	// TTLSeconds: 0 means never for an access token and one hour for a join token.
	TTLSeconds int64  `json:"ttlSeconds,omitempty" minimum:"0" maximum:"31622400" doc:"life in seconds; 0: for ever, of a join token one hour"`
	Note       string `json:"note,omitempty" maxLength:"256" doc:"what it is for"`
}

// Token describes a token without its secret.
type Token struct {
	ID      string    `json:"id"`
	Role    string    `json:"role"`
	Note    string    `json:"note,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero" doc:"absent: never"`
	Expired bool      `json:"expired"`
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
