package wire

// Reasons gives every line that a refusal may have as its body. A new one that
// is not added here fails the corpus, and so does an echo of the request.
func Reasons() []string {
	var all []string
	for _, e := range []*Error{
		errMethod, errMethodLong, errConnect, errTarget, errTargetLong, errTargetForm, errEscape, errAuthority,
		errVersion, errVersionUnkn, errBlank, errHeadLong, errHeadLines, errBareLF, errFold, errFieldName,
		errFieldValue, errHostNone, errHostTwice, errHost, errTimeout, errCut, errLength, errLengthTwice,
		errLengthLarge, errBoth, errCoding, errCodingTwice, errCodingOld, errCodingUnkn, errTrailerName,
	} {
		all = append(all, e.Reason)
	}
	return all
}
