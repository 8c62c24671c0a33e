// Package where checks and evaluates the expressions that stand after where: in
// a job file: conditions on a node or a device in the Common Expression Language
// (https://cel.dev).
//
// An expression is a text until it is evaluated, and evaluating it depends on
// nothing but the node or the device: it has no clock, no randomness and no
// input besides. It is typed, it must be true or false, and what it may cost is
// bounded twice, by an estimate when it is checked and by a count when it is
// evaluated. An expression that fails on a node, as by asking for an attribute
// that the node has not, is not true of it.
//
// jobspec checks expressions as a job file is read, the server as a job is
// submitted, and the leader evaluates them; the state machine and the core know
// their texts alone.
package where

import (
	"fmt"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"
)

// Bounds on an expression.
const (
	// MaxBytes is the longest text.
	MaxBytes = 4096
	// MaxCost bounds the estimated and the counted cost, in CEL's units: about one
	// for each operation, a tenth for each character that is compared.
	MaxCost = 200_000
)

// Node is what an expression on nodes sees under the name node. Texts are empty
// and numbers 0 where the node does not say.
type Node struct {
	Name         string   `cel:"name"`
	Family       string   `cel:"family"`
	InstanceType string   `cel:"instance_type"`
	Zone         string   `cel:"zone"`
	Rack         string   `cel:"rack"`
	Simulated    bool     `cel:"simulated"`
	CPU          float64  `cel:"cpu"`    // cores
	Memory       int64    `cel:"memory"` // bytes
	Disk         int64    `cel:"disk"`   // bytes
	Devices      []Device `cel:"devices"`
	// What else the node advertises: texts, and numbers.
	Attributes map[string]string  `cel:"attributes"`
	Numbers    map[string]float64 `cel:"numbers"`
}

// Device is what an expression on devices sees under the name device.
type Device struct {
	Kind              string  `cel:"kind"`
	Vendor            string  `cel:"vendor"`
	Model             string  `cel:"model"`
	Memory            int64   `cel:"memory"` // bytes
	Share             float64 `cel:"share"`  // the part of a device that is offered
	FP32TFLOPS        float64 `cel:"fp32_tflops"`
	FP64TFLOPS        float64 `cel:"fp64_tflops"`
	ComputeCapability float64 `cel:"compute_capability"`
	Image             string  `cel:"image"`
	// What else the device advertises: texts, and numbers.
	Attributes map[string]string  `cel:"attributes"`
	Numbers    map[string]float64 `cel:"numbers"`
}

// Subject is what an expression is about.
type Subject uint8

// Subjects.
const (
	OnNode Subject = iota
	OnDevice
)

// String returns the name that the subject has in expressions.
func (s Subject) String() string {
	if s == OnDevice {
		return "device"
	}
	return "node"
}

// Checker compiles expressions. It is safe for concurrent use; making one takes
// some milliseconds.
type Checker struct {
	envs [2]*cel.Env
}

// New returns a checker. The error says what of the language could not be set
// up, and means that this program is broken.
func New() (*Checker, error) {
	c := &Checker{}
	for s := range c.envs {
		env, err := newEnv(Subject(s)) //nolint:gosec // one of two
		if err != nil {
			return nil, fmt.Errorf("set up expressions on a %s: %w", Subject(s), err) //nolint:gosec // one of two
		}
		c.envs[s] = env
	}
	return c, nil
}

func newEnv(s Subject) (*cel.Env, error) {
	typeName := "where.Node"
	if s == OnDevice {
		typeName = "where.Device"
	}
	options := []cel.EnvOption{
		ext.NativeTypes(reflect.TypeFor[Node](), reflect.TypeFor[Device](), ext.ParseStructTags(true)),
		cel.Variable(s.String(), cel.ObjectType(typeName)),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(MaxBytes),
		cel.ParserRecursionLimit(64),
	}
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		options = append(options, cel.Constant(unit, cel.IntType, types.Int(1)<<(10*(i+1))))
	}
	return cel.NewEnv(options...)
}

// Expression is a text that has been checked.
type Expression struct {
	program cel.Program
	subject Subject
	// Named says that the result depends on a node's name.
	Named bool
}

// Compile checks a text. The error, if any, is a *Fault.
func (c *Checker) Compile(s Subject, text string) (*Expression, error) {
	if len(text) > MaxBytes {
		return nil, &Fault{Message: fmt.Sprintf("the expression has %d bytes", len(text)), Hint: fmt.Sprintf("write at most %d", MaxBytes)}
	}
	env := c.envs[s]
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, faultOf(s, issues.Errors(), text)
	}
	if ast.OutputType() != cel.BoolType {
		return nil, &Fault{
			Message: fmt.Sprintf("is %s, not true or false", typeWords(ast.OutputType().String())),
			Hint:    fmt.Sprintf("compare it, as in %s.%s", s, examples[s]),
		}
	}
	cost, err := env.EstimateCost(ast, sizes{})
	if err != nil {
		return nil, &Fault{Message: "the cost of the expression cannot be told: " + err.Error(), Hint: "write a simpler one"}
	}
	if cost.Max > MaxCost {
		return nil, &Fault{
			Message: fmt.Sprintf("may cost up to %d steps for one %s", cost.Max, s),
			Hint:    fmt.Sprintf("at most %d are allowed: avoid loops inside of loops, and matches inside of loops", MaxCost),
		}
	}
	program, err := env.Program(ast, cel.CostLimit(MaxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, &Fault{Message: "the expression cannot be evaluated: " + err.Error(), Hint: "see the conditions in the job file's reference"}
	}
	return &Expression{program: program, subject: s, Named: named(ast)}, nil
}

// OfNode reports whether an expression on nodes is true of n.
func (e *Expression) OfNode(n *Node) bool { return e.holds(n) }

// OfDevice reports whether an expression on devices is true of d.
func (e *Expression) OfDevice(d *Device) bool { return e.holds(d) }

func (e *Expression) holds(subject any) bool {
	out, _, err := e.program.Eval(map[string]any{e.subject.String(): subject})
	return err == nil && out == types.True
}
