// A proxy on loopback that acts out one fault of spec/faults between a client and a server.
import http from "node:http";

/** Start it. `restart` restarts the server, for the fault that wants it. */
export async function faultProxy(target, { restart } = {}) {
  const proxy = new FaultProxy(new URL(target), restart);
  await new Promise((resolve) => proxy.server.listen(0, "127.0.0.1", resolve));
  return proxy;
}

class FaultProxy {
  /** What came in: { method, path, headers, body, at } */
  asked = [];
  #fault;
  #left = 0;

  constructor(target, restart) {
    this.target = target;
    this.restart = restart;
    this.server = http.createServer((request, response) => this.#meet(request, response));
  }

  get url() {
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  act(fault) {
    this.#fault = fault;
    this.#left = fault.times === "always" ? Infinity : fault.times;
  }

  /** From now on everything passes. */
  mend() {
    this.#left = 0;
  }

  /** The orders that came in. */
  submits() {
    return this.asked.filter(({ method, path }) => method === "POST" && path === "/v1/generations/video");
  }

  close() {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }

  async #meet(request, response) {
    const body = Buffer.concat(await request.toArray().catch(() => []));
    const { method, url: path, headers } = request;
    this.asked.push({ method, path, headers, body: body.toString(), at: performance.now() });
    const fault = this.#faultFor(method, path);
    try {
      if (!fault) return await this.#pass(request, body, response);
      const answer = fault.reaches_server ? await this.#whole(request, body) : undefined;
      await this.#break(fault.act, answer, response);
    } catch {
      // Nobody there: that is what the client sees too.
      response.destroy();
    }
  }

  #faultFor(method, path) {
    const { meets } = this.#fault ?? {};
    if (this.#left <= 0 || method !== meets.method || !path.startsWith(meets.path)) return undefined;
    this.#left -= 1;
    return this.#fault;
  }

  async #break(act, answer, response) {
    switch (act.kind) {
      case "close":
        return response.destroy();
      case "restart":
        response.destroy();
        return this.restart();
      case "answer":
        return response.writeHead(act.status, act.headers).end(act.body);
      case "half":
        return half(act.then, answer, response);
      case "pieces":
        return pieces(act, answer, response);
      default:
        throw new Error(`There is no act ${act.kind}`);
    }
  }

  #forward(request, body) {
    const { hostname, port } = this.target;
    const headers = { ...request.headers, host: this.target.host };
    return new Promise((resolve, reject) => {
      const { method, url: path } = request;
      http
        .request({ hostname, port, method, path, headers, agent: false }, resolve)
        .on("error", reject)
        .end(body);
    });
  }

  async #whole(request, body) {
    const answer = await this.#forward(request, body);
    const headers = { ...answer.headers };
    delete headers["transfer-encoding"];
    return { status: answer.statusCode, headers, body: Buffer.concat(await answer.toArray()) };
  }

  async #pass(request, body, response) {
    const answer = await this.#forward(request, body);
    answer.on("error", () => response.destroy());
    response.on("close", () => answer.destroy());
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  }
}

function half(then, { status, headers, body }, response) {
  const first = body.subarray(0, body.length >> 1);
  const promised = then === "end" ? first.length : body.length;
  response.writeHead(status, { ...headers, "content-length": promised });
  response.write(first, () => {
    if (then === "end") response.end();
    if (then === "close") response.socket.end();
    // As soon as what was written is on its way: a reset takes back what is not.
    if (then === "reset") setImmediate(() => response.socket.resetAndDestroy());
  });
}

async function pieces({ count, pause_seconds }, { status, headers, body }, response) {
  response.writeHead(status, { ...headers, "content-length": body.length });
  const size = Math.ceil(body.length / count);
  for (let start = 0; start < body.length; start += size) {
    if (start > 0) await new Promise((resolve) => setTimeout(resolve, pause_seconds * 1000));
    response.write(body.subarray(start, start + size));
  }
  response.end();
}
