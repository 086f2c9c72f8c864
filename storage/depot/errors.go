package depot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/minio/minio-go/v7"
)

// hints say what to do about what stores answer.
var hints = map[string]string{
	"AccessDenied":          "the access key may not do that: it needs s3:PutObject, s3:GetObject, s3:DeleteObject, s3:AbortMultipartUpload and s3:ListBucket",
	"InvalidAccessKeyId":    "the store does not know the access key: look at AWS_ACCESS_KEY_ID and at the endpoint",
	"SignatureDoesNotMatch": "look at AWS_SECRET_ACCESS_KEY and AWS_REGION",
	"RequestTimeTooSkewed":  "the clock of this machine is wrong",
	"ExpiredToken":          "the temporary credentials are over: AWS_SESSION_TOKEN",
	"InvalidToken":          "look at AWS_SESSION_TOKEN",
	"NoSuchBucket":          "make the bucket first, readable only for the group's administrators",
}

// explain gives an error of the store in words for operators. What is absent is an fs.ErrNotExist.
func (b *Bucket) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%s: the store %s does not answer in time: %w", what, b.core.EndpointURL().Host, err)
		}
		return fmt.Errorf("%s: %w", what, err)
	}
	words := fmt.Sprintf("the store %s answers %d %s", b.core.EndpointURL().Host, answer.StatusCode, answer.Code)
	if answer.Message != "" {
		words += ": " + short(answer.Message)
	}
	if answer.Code == "NoSuchKey" || answer.StatusCode == http.StatusNotFound && answer.Code != "NoSuchBucket" && answer.Code != "NoSuchUpload" {
		return fmt.Errorf("%s: %w: %s", what, fs.ErrNotExist, words)
	}
	if hint := hints[answer.Code]; hint != "" {
		words += ": " + hint
	}
	return fmt.Errorf("%s: %s", what, words)
}

// short keeps what a store says from filling a screen.
func short(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most] + " ..."
	}
	return s
}
