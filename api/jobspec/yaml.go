package jobspec

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// parseYAML checks the bounds of a file and gives the root of its only
// document. With a problem it gives nil, and then nothing else can be said
// about the file.
func parseYAML(filename string, src []byte) (root ast.Node, lines []string, bad *Problem) {
	if len(src) > MaxFileBytes {
		return nil, nil, &Problem{
			File: filename, Line: 1, Col: 1,
			Message: fmt.Sprintf("the file is larger than %d bytes", MaxFileBytes),
			Hint:    "a job file describes work; keep data beside it and write ranges of tasks as array:",
		}
	}
	src = bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))
	text := strings.ReplaceAll(string(src), "\r\n", "\n")
	lines = strings.Split(text, "\n")
	fail := func(at span, message, hint string) (ast.Node, []string, *Problem) {
		return nil, lines, &Problem{
			File: filename, Line: at.line, Col: at.col,
			Message: message, Hint: hint, Excerpt: excerpt(lines, at),
		}
	}
	if at, message := badCharacter(lines); message != "" {
		return fail(at, message, "save the file as plain UTF-8 text")
	}
	tokens, file, err := parseText(text)
	if err != nil {
		return fail(err.at, err.message, err.hint)
	}
	docs := file.Docs
	for len(docs) > 0 && docs[0].Body != nil && docs[0].Body.Type() == ast.DirectiveType {
		docs = docs[1:]
	}
	if len(docs) > 1 {
		at := span{line: 1, col: 1, width: 3}
		if start := docs[1].Start; start != nil {
			at = place(lines, start)
		}
		return fail(at, "a second YAML document starts here", "a job file holds one job; put the other in a file of its own")
	}
	if len(docs) == 0 || docs[0].Body == nil || len(tokens) == 0 {
		return nil, lines, &Problem{File: filename, Line: 1, Col: 1, Message: "the file is empty", Hint: "write a job, as in\n     name: hello\n     run: echo hello"}
	}
	return docs[0].Body, lines, nil
}

// badCharacter finds bytes that are no UTF-8 text.
func badCharacter(lines []string) (span, string) {
	for i, line := range lines {
		col := 1
		for rest := line; rest != ""; col++ {
			r, size := utf8.DecodeRuneInString(rest)
			at := span{line: i + 1, col: col, width: 1}
			if r == utf8.RuneError && size == 1 {
				return at, "this is not UTF-8 text"
			}
			if r < ' ' && r != '\t' || r == 0x7f {
				return at, fmt.Sprintf("the control character %q is not allowed in YAML", r)
			}
			rest = rest[size:]
		}
	}
	return span{}, ""
}

// yamlError is what the YAML parser, or a bound on what it is given, refuses.
type yamlError struct {
	at            span
	message, hint string
}

// parseText runs the YAML parser. The parser is recursive and quadratic in
// places, so the tokens are counted before it sees them.
func parseText(text string) (tokens token.Tokens, file *ast.File, bad *yamlError) {
	defer func() {
		// Duty of care: a parser that gives up on hostile input by panicking must
		// not take the program with it.
		if r := recover(); r != nil {
			bad = &yamlError{at: span{line: 1, col: 1}, message: "the file cannot be read as YAML", hint: "look for an unclosed quote or bracket"}
		}
	}()
	lines := strings.Split(text, "\n")
	tokens = lexer.Tokenize(text)
	if bad = boundTokens(lines, tokens); bad != nil {
		return nil, nil, bad
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err == nil {
		return tokens, file, nil
	}
	at, message := span{line: 1, col: 1}, err.Error()
	if syntax, ok := errors.AsType[yaml.Error](err); ok {
		message = syntax.GetMessage()
		if tk := syntax.GetToken(); tk != nil {
			at = place(lines, tk)
		}
	}
	message, hint := explainYAML(message, lines, at)
	return nil, nil, &yamlError{at: at, message: message, hint: hint}
}

// boundTokens refuses files whose structure is too large or too deep for the
// parser's recursion.
func boundTokens(lines []string, tokens token.Tokens) *yamlError {
	if len(tokens) > maxTokens {
		return &yamlError{
			at: place(lines, tokens[maxTokens]), message: "the file has too many values",
			hint: "write ranges of tasks as array: 1-1000, not one group or line for each",
		}
	}
	depth, chain, line := 0, 0, 0
	for _, tk := range tokens {
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType, token.TagType, token.AnchorType:
			if tk.Position.Line != line {
				chain, line = 0, tk.Position.Line
			}
			chain++
		default:
			chain = 0
		}
		if depth > maxFlowDepth || chain > maxFlowDepth {
			return &yamlError{
				at: place(lines, tk), message: fmt.Sprintf("nested more than %d deep", maxFlowDepth),
				hint: "no value of a job file is nested that deeply; look for a bracket that is not closed",
			}
		}
	}
	return nil
}

// explainYAML puts the parser's words into ours and says what to do.
func explainYAML(message string, lines []string, at span) (text, hint string) {
	has := func(part string) bool { return strings.Contains(message, part) }
	switch {
	case has("cannot start any token") && has("'\t'"), has("tab character"):
		return "a tab stands where YAML wants spaces", "write spaces, also for indentation"
	case has("mapping value is not allowed") && at.line < len(lines) && indentOf(lines[at.line]) > indentOf(lines[at.line-1]):
		return fmt.Sprintf("line %d is indented deeper than this line, which has a value already", at.line+1),
			"start keys of one mapping in the same column"
	case has("mapping value is not allowed"):
		return `": " stands inside this text, and YAML takes it for a key`,
			`put the text into quotes, or write it below the key after "|"`
	case has("',' or ']'"), has("sequence end token"):
		return "a list that starts with [ is not closed, or a comma is missing", "separate the values by commas and end the list with ]"
	case has("',' or '}'"), has("flow mapping end token"):
		return "a mapping that starts with { is not closed, or a comma is missing", "separate the pairs by commas and end the mapping with }"
	case has("end character of double-quoted"):
		return `the text that starts with " has no closing quote`, `add the closing "`
	case has("end character of single-quoted"):
		return "the text that starts with ' has no closing quote", "add the closing '; a ' inside is written twice"
	case has("reserved character"):
		return "a text cannot start with @ or `", "put the text into quotes"
	case has("directive"):
		return "a text cannot start with %", "put the text into quotes"
	case has("undefined alias name"), has("unexpected scalar value type"):
		return "* alone is not a text in YAML", `put it into quotes: "*"`
	case has("block sequence entries are not allowed"):
		return "a list entry cannot start on the same line as its key", "start the list on the next line, or put the text into quotes"
	case has("invalid key"):
		return "this is not a key", "write the key as plain text, followed by a colon and a space"
	case has("non-map value is specified"), has("value is not allowed in this context"), has("unexpected"):
		return message, "check the indentation: keys of one mapping start in the same column, each followed by a colon and a space"
	}
	return message, "check the indentation, and quote texts that hold YAML's own characters (: # [ ] { } , & * ! | > ' \" % @ `)"
}

// indentOf counts the spaces before a line's text.
func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// place gives a token's place, brought inside the file: for a token that it
// made up itself the parser's own place may lie outside.
func place(lines []string, tk *token.Token) span {
	if tk == nil || tk.Position == nil {
		return span{line: 1, col: 1}
	}
	at := span{line: min(max(tk.Position.Line, 1), len(lines)), col: max(tk.Position.Column, 1), width: 1}
	length := utf8.RuneCountInString(strings.TrimRight(lines[at.line-1], " "))
	at.col = min(at.col, length+1)
	switch tk.Type {
	case token.DoubleQuoteType, token.SingleQuoteType:
		at.width = quotedWidth(lines[at.line-1], at.col, tk.Type == token.DoubleQuoteType)
	default:
		at.width = utf8.RuneCountInString(tk.Value)
	}
	at.width = max(1, min(at.width, length-at.col+1))
	return at
}

// quotedWidth measures a quoted text with its quotes, up to the line's end.
func quotedWidth(line string, col int, double bool) int {
	text := []rune(line)
	for i := col; i < len(text); i++ {
		switch {
		case double && text[i] == '\\':
			i++
		case double && text[i] == '"':
			return i - col + 2
		case !double && text[i] == '\'':
			if i+1 < len(text) && text[i+1] == '\'' {
				i++
				continue
			}
			return i - col + 2
		}
	}
	return len(text) - col + 1
}
