package wire

// TakenElsewhere reports whether readers that are less strict than AnswerParser, such as net/http's, may take the response head that it refused with err: one with
// field lines of another form (form: the head has no other fault), with more lines, or longer.
func TakenElsewhere(err *Error) (form, any bool) {
	form = err == errAnswerField
	return form, form || err == errAnswerLong || err == errAnswerLines
}
