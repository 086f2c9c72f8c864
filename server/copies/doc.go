// Package copies keeps values of the store beside the log: on two members each, by their hash, while the log says who has what (fsm.StoreCopy).
//
// A write goes to the members that rendezvous hashing ranks first for its key, as far as they answer and have room. When two have it on their disks the caller may propose what names
// them, within fsm.CopyFresh. A read asks who is named, and believes nothing that has another hash.
//
// What goes wrong is mended in two places. Each node (Run) fetches what it should have and has not from the other holder, and throws away what the state does not name, once it knows that its
// state is no older than the group's. The leader (Mend) has others take the place of holders that are gone, and says that a value is lost when it is certain that nobody has it: when every
// holder has answered that it has not, or is a member no more, and no other member that answers has it.
//
// Members talk in messages of their own (message.go), on authenticated connections; a Copies answers those of others with Answer.
package copies
