// Package markup reads the XML of configuration files: elements and attributes with their places, and nothing that reaches out.
//
// It is a part of XML 1.0 on purpose. A DOCTYPE may name its definition, which is never fetched; one that declares anything itself is refused, and so is
// every entity but the five that XML has, so that no file is read, no address is dialled and no text grows. Encodings are UTF-8 and ISO-8859-1. Size,
// depth and the number of elements are bounded. An error is always an *Error with line and column.
package markup
