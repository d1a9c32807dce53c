// Reverse-mode differentiation: tensors, and the tape that remembers how each was made.
//
// Every operation (operations.js) computes a new tensor and leaves a function on the tape.  That function carries the
// gradient of the loss one step back, from the operation's result to its inputs.  Run the functions from the last to
// the first, and every input has its gradient: that's all of backpropagation.
//
// All numbers live in one arena, a single piece of memory that is filled from the start at every training step.  So
// a step allocates nothing that must be collected later, and WebAssembly (matmul.js) can reach everything.

/** Memory that is handed out piece by piece and taken back all at once. */
export class Arena {
  /** @param {number} megabytes  how much there is; it never grows, since growing would cut off what was handed out
   * @param {Float32ArrayConstructor | Float64ArrayConstructor} Numbers  64 bits are for checking gradients */
  constructor(megabytes, Numbers = Float32Array) {
    const pages = megabytes * 16; // of 64 KB
    this.memory = globalThis.WebAssembly ? new WebAssembly.Memory({ initial: pages, maximum: pages }) : null;
    this.buffer = this.memory?.buffer ?? new ArrayBuffer(megabytes * 2 ** 20);
    this.Numbers = Numbers;
    this.top = 1024; // where free memory begins, in bytes
  }

  /** An array of `count` numbers, whatever was in memory there. @param {number} count */
  take(count) {
    const end = this.top + count * this.Numbers.BYTES_PER_ELEMENT;
    if (end > this.buffer.byteLength) {
      throw new Error(`the arena of ${this.buffer.byteLength >> 20} MB is full; make the model smaller`);
    }
    const array = new this.Numbers(this.buffer, this.top, count);
    this.top = Math.ceil(end / 16) * 16;
    return array;
  }
}

/** A matrix.  Its rows are the tokens of all clips, one clip after the other; its columns are features. */
export class Tensor {
  /** @param {number} rows @param {number} columns @param {Float32Array | Float64Array} data  row by row */
  constructor(rows, columns, data) {
    this.rows = rows;
    this.columns = columns;
    this.data = data;
    this.needsGradient = false;
    /** @type {Float32Array | Float64Array | null}  d loss / d data, once something asked for it */
    this.gradient = null;
  }
}

/** What was computed, in order, with the arena that it was computed in. */
export class Tape {
  /** @param {Arena} arena @param {import("./matmul.js").Kernel} kernel  the inner loops of matmul */
  constructor(arena, kernel) {
    this.arena = arena;
    this.kernel = kernel;
    /** @type {(() => void)[]} */
    this.steps = [];
    this.recording = true;
  }

  /** A new tensor; what is in it is up to the caller. @param {number} rows @param {number} columns */
  tensor(rows, columns) {
    return new Tensor(rows, columns, this.arena.take(rows * columns));
  }

  /** A tensor with these values. @param {number} rows @param {number} columns @param {ArrayLike<number>} values */
  constant(rows, columns, values) {
    const x = this.tensor(rows, columns);
    x.data.set(values);
    return x;
  }

  /** Where the gradient of x is summed up, or null if x needs none. @param {Tensor} x */
  gradient(x) {
    if (!x.needsGradient) return null;
    return (x.gradient ??= this.arena.take(x.data.length).fill(0));
  }

  /** Put an operation on the tape, unless none of its inputs needs a gradient.
   * @param {Tensor} result @param {Tensor[]} inputs
   * @param {(g: any, ...inputs: any[]) => void} backward  adds to the gradient of each input (null: not needed), given
   *   the gradient g of the result */
  record(result, inputs, backward) {
    result.needsGradient = this.recording && inputs.some((x) => x.needsGradient);
    if (result.needsGradient) {
      this.steps.push(() => {
        if (result.gradient) backward(result.gradient, ...inputs.map((x) => this.gradient(x)));
      });
    }
    return result;
  }

  /** Compute without recording: what comes out counts as a constant.  This is the stop-gradient.
   * @template T @param {() => T} compute @returns {T} */
  detached(compute) {
    const before = this.recording;
    this.recording = false;
    try {
      return compute();
    } finally {
      this.recording = before;
    }
  }

  /** Gradients of everything that led to the loss. @param {Tensor} loss */
  backward(loss) {
    const gradient = this.gradient(loss);
    if (gradient) gradient[0] = 1;
    while (this.steps.length) this.steps.pop()?.();
  }

  /** Forget what was computed since the arena's top was at `top`. @param {number} top */
  clear(top) {
    this.steps = [];
    this.arena.top = top;
  }
}
