package raftnode

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/hashicorp/raft"
)

// standing is how many voters there are, and which of them answer.
type standing struct {
	voters   int
	answered []string
	silent   []string
}

// spare is how many of those that answer may fail before the group stops; negative: it has stopped.
func (s standing) spare() int { return len(s.answered) - (s.voters/2 + 1) }

// String says it for an operator.
func (s standing) String() string {
	text := fmt.Sprintf("%d of the %d nodes with a vote would answer", len(s.answered), s.voters)
	if s.voters == 1 {
		text = "the one node with a vote would answer"
		if len(s.answered) == 0 {
			text = "the one node with a vote would not answer"
		}
	}
	if len(s.silent) > 0 {
		text += " (" + strings.Join(s.silent, ", ") + " would not)"
	}
	return text + fmt.Sprintf(", and %d must", s.voters/2+1)
}

// standings are that of now, and the one in which the node without has no vote.
func (n *Node) standings(ctx context.Context, without raft.ServerID) (now, then standing) {
	voters := voters(n.membership())
	answers := n.whoAnswers(ctx, voters)
	for i, s := range voters {
		now.add(s, answers[i])
		if s.ID != without {
			then.add(s, answers[i])
		}
	}
	return now, then
}

func (s *standing) add(v raft.Server, answers bool) {
	s.voters++
	if answers {
		s.answered = append(s.answered, nameOf(v.ID))
	} else {
		s.silent = append(s.silent, nameOf(v.ID))
	}
}

// whoAnswers asks the given members whether they take part, for memberWait at most.
func (n *Node) whoAnswers(ctx context.Context, list []raft.Server) []bool {
	ctx, cancel := context.WithTimeout(ctx, memberWait)
	defer cancel()
	answers := make([]bool, len(list))
	var all sync.WaitGroup
	for i, s := range list {
		if s.ID == *n.id.Load() {
			answers[i] = true
			continue
		}
		all.Go(func() {
			info, err := n.askInfo(ctx, string(s.Address), nameOf(s.ID))
			answers[i] = err == nil && info.ID == string(s.ID) && (info.Role == "follower" || info.Role == "candidate" || info.Role == "leader")
		})
	}
	all.Wait()
	return answers
}

func voters(c raft.Configuration) (list []raft.Server) {
	for _, s := range c.Servers {
		if s.Suffrage == raft.Voter {
			list = append(list, s)
		}
	}
	return list
}
