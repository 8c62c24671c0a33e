package logs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"caravan/agent/logs"
)

// follow reads a stream in the background until its end.
func follow(t *testing.T, dir string, opts logs.ReadOptions) (pieces chan string, end chan error) {
	opts.Follow = true
	r, err := logs.Open(dir, logs.Stdout, opts)
	if err != nil {
		t.Fatal(err)
	}
	pieces, end = make(chan string, 100), make(chan error, 1)
	go func() {
		defer r.Close()
		buf := make([]byte, 1000)
		for {
			n, err := r.Read(t.Context(), buf)
			if n > 0 {
				pieces <- string(buf[:n])
			}
			if err != nil {
				end <- err
				return
			}
		}
	}()
	return pieces, end
}

func TestFollowerSeesBytesWithinOnePollAndEndsWithTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		pieces, end := follow(t, dir, logs.ReadOptions{Poll: time.Second})
		<-time.After(time.Hour) // the stream does not exist yet
		w := newWriter(t, dir, 1<<20, 2)
		for i := range 3 {
			begin := time.Now()
			fmt.Fprintf(w, "line %d\n", i)
			if got := <-pieces; got != fmt.Sprintf("line %d\n", i) {
				t.Errorf("got %q", got)
			}
			if waited := time.Since(begin); waited > time.Second {
				t.Errorf("line %d after %v", i, waited)
			}
			<-time.After(time.Minute)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-end; !errors.Is(err, io.EOF) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestFollowerEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		newWriter(t, dir, 10, 1)
		r, err := logs.Open(dir, logs.Stdout, logs.ReadOptions{Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begin := time.Now()
		if _, err := r.Read(ctx, make([]byte, 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(begin); waited != time.Hour {
			t.Errorf("ended after %v", waited)
		}
	})
}

func TestFollowerThatFallsBehindSkipsWhatRotationDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := newWriter(t, dir, 10, 2)
		fmt.Fprint(w, "0123")
		r, err := logs.Open(dir, logs.Stdout, logs.ReadOptions{Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		buf := make([]byte, 100)
		read := func() string {
			n, err := r.Read(t.Context(), buf)
			if err != nil {
				t.Fatal(err)
			}
			return string(buf[:n])
		}
		if got := read(); got != "0123" {
			t.Fatalf("got %q", got)
		}
		// Segments 0 to 4; the reader holds segment 0 open, 3 and 4 remain.
		fmt.Fprint(w, "456789"+"aaaaaaaaaa"+"bbbbbbbbbb"+"cccccccccc"+"ddd")
		if got := read(); got != "456789" {
			t.Errorf("the rest of the open segment: %q", got)
		}
		if got := read(); got != "cccccccccc" || r.Skipped() != 20 {
			t.Errorf("got %q, skipped %d", got, r.Skipped())
		}
	})
}

func TestTailThenFollowLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := newWriter(t, dir, 8, 10)
		fmt.Fprint(w, "one\ntwo\nthree\nfour\npart")
		pieces, end := follow(t, dir, logs.ReadOptions{Tail: 3})
		var got string
		collect := func() {
			synctest.Wait()
			for len(pieces) > 0 {
				got += <-pieces
			}
		}
		collect()
		if got != "three\nfour\npart" {
			t.Errorf("tail %q", got)
		}
		fmt.Fprint(w, "ial\nfive\n")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-end; !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		collect()
		if got != "three\nfour\npartial\nfive\n" {
			t.Errorf("got %q", got)
		}
	})
}
