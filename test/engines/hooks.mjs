// The same as Module._load in baileys.cjs, for a Baileys of ES modules: wire_stub.cjs for what is below its socket.
const stub = new URL('./wire_stub.cjs', import.meta.url).href;

export function resolve(name, context, next) {
	return /(\/Client\/index|\/noise-handler)\.js$/.test(name) ? {url: stub, format: 'commonjs', shortCircuit: true} : next(name, context);
}
