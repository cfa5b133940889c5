// Command goldens prints objects as Kubernetes' own library writes them in protobuf: for each line of JSON on its standard
// input a line with that JSON as the library writes it, a tab, and the bytes in base64. What it printed is checked in
// (src/schema/protobuf/testdata); run it again by hand where a case is added.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"os"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
	aggregator "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

func main() {
	for _, add := range []func(*runtime.Scheme) error{apiextensions.AddToScheme, aggregator.AddToScheme} {
		if err := add(scheme.Scheme); err != nil {
			panic(err)
		}
	}
	meta.AddToGroupVersion(scheme.Scheme, meta.SchemeGroupVersion) // DeleteOptions as typed clients send them
	reader := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{})
	writer := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		object, kind, err := reader.Decode(lines.Bytes(), nil, nil)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", lines.Text(), err)
			os.Exit(1)
		}
		object.GetObjectKind().SetGroupVersionKind(*kind)
		var text, message bytes.Buffer
		if err := reader.Encode(object, &text); err != nil {
			panic(err)
		}
		if err := writer.Encode(object, &message); err != nil {
			panic(err)
		}
		fmt.Printf("%s\t%s\n", bytes.TrimSpace(text.Bytes()), base64.StdEncoding.EncodeToString(message.Bytes()))
	}
}
