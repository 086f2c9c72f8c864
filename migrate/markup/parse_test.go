package markup

import (
	"errors"
	"strings"
	"testing"
)

func TestPlaces(t *testing.T) {
	doc, err := Parse([]byte("\xef\xbb\xbf<?xml version='1.0'?>\r\n<!-- ä -->\r<a  x=\"1\"\n\ty='ü' z=\"&lt;&#65;&#x42;\n c\">\n é<b/></a>"), Options{Root: "a"})
	if err != nil {
		t.Fatal(err)
	}
	a := doc.Root
	if a.Line != 3 || a.Column != 1 || a.Attrs[0].Line != 3 || a.Attrs[0].Column != 5 || a.Attrs[1].Line != 4 || a.Attrs[1].Column != 2 || a.Attrs[2].Column != 8 {
		t.Errorf("places %+v %+v %+v %+v", a, a.Attrs[0], a.Attrs[1], a.Attrs[2])
	}
	if a.Attrs[2].Value != "<AB  c" {
		t.Errorf("value %q", a.Attrs[2].Value)
	}
	if b := a.Children[0]; b.Line != 6 || b.Column != 3 || a.Text != "é" || a.TextLine != 6 || a.TextColumn != 2 {
		t.Errorf("child %+v, text %q %d:%d", b, a.Text, a.TextLine, a.TextColumn)
	}
}

func TestEncodings(t *testing.T) {
	for _, text := range []string{
		"<a n='\u00fc'/>", "\xef\xbb\xbf<a n='\u00fc'/>", "<?xml version=\"1.0\" encoding=\"utf-8\"?><a n='\u00fc'/>", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a n='\xfc'/>",
		"<?xml version='1.0' encoding='latin1' standalone='yes'?>\n<a n='\xfc'/>",
	} {
		doc, err := Parse([]byte(text), Options{Root: "a"})
		if err != nil || doc.Root.Attrs[0].Value != "ü" {
			t.Errorf("%q: %v %v", text, doc, err)
		}
	}
}

func TestLenient(t *testing.T) {
	doc, err := Parse([]byte(`<a url=/ n=12 p=/x/y />`), Options{Root: "a", Lenient: true})
	if err != nil || doc.Root.Attr("url").Value != "/" || doc.Root.Attr("n").Value != "12" || doc.Root.Attr("p").Value != "/x/y" {
		t.Errorf("%+v %v", doc, err)
	}
	for _, text := range []string{`<a n=/>`, `<a n= >`, `<a n=a"b>`, `<a n=a<b>`, `<a n=&lt;>`} {
		if _, err := Parse([]byte(text), Options{Root: "a", Lenient: true}); err == nil {
			t.Errorf("%s: was read", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("<?xml version='1.0'?><!DOCTYPE a PUBLIC 'x' 'y'><a b='c'>t<![CDATA[x]]><!-- c --><d/></a>"), false)
	f.Add([]byte("<a b=c d=/ />"), true)
	f.Fuzz(func(t *testing.T, data []byte, lenient bool) {
		doc, err := Parse(data, Options{Root: "a", Lenient: lenient})
		var e *Error
		switch {
		case err == nil && doc.Root.Name != "a":
			t.Fatalf("root %q", doc.Root.Name)
		case err == nil:
			if got := len(doc.Report("f")); got < 1 {
				t.Fatal("an empty report")
			}
		case !errors.As(err, &e) || e.Line < 1 || e.Column < 1 || e.Message == "" || strings.Contains(e.Message, "\x00"):
			t.Fatalf("error %#v", err)
		}
	})
}
