// Package group runs a whole Holdfast group as real processes on loopback: node i listens on 127.0.0.i, all on the same
// ports. It uses only what every operator has: the program, its variables and the admin API.
//
// A Group's methods may be called at once; those of one Node that start or end its process may not.
package group
