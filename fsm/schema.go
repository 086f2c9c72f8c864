package fsm

// Schema is the version of the state's schema: what this program writes into entries and snapshots, and what it makes of them. Version 1 was before
// quiesces; a program that does not name its schema is of version 1. All nodes of a group have one schema. It is raised with whatever the programs
// before would stop at or apply otherwise: a kind that they may not skip, another layout of a snapshot.
const Schema = 2
