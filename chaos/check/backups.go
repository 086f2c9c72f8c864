package check

// Backups keeps what became of the backups that operators took. The zero value has none.
type Backups struct{ taken kept[error] }

// Read notes that a backup was read back as a whole: problem is what was found wrong with it, nil for nothing. That one could not be had at all is no matter of this.
func (b *Backups) Read(problem error) { b.taken.add(problem) }
