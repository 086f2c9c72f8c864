// Package modjk reads workers.properties and uriworkermap.properties, the files of the Tomcat connector mod_jk.
//
// mod_jk speaks AJP to its workers and Holdfast speaks HTTP, so whoever imports must say which HTTP ports the workers have.
package modjk
