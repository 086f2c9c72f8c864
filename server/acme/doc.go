// Package acme obtains certificates from authorities that speak ACME (RFC 8555), with certmagic, for the leader of a group.
//
// Store is certmagic's storage: values and locks in the replicated state, so that the next leader goes on with the account of this one, and any node can answer
// a challenge that this one has begun. Values are sealed for their keys before they are proposed. A Store belongs to one term: it proposes in that term alone,
// and its locks end with it.
//
// Client.Obtain makes one attempt: account, order, challenges, certificate. When to attempt, and what becomes of the certificate, is the business of who calls it.
package acme
