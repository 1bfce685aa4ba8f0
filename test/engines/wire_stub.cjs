/*
 * wire_stub.cjs -- what is below Baileys' socket: a connection that is open at once, and no encryption.
 *
 * Contract: takes the place of Baileys' Socket/Client and of its noise handler; all above is Baileys' own.  What it
 * sends is decoded by its own codec and given to globalThis.whatsapp(node), whose result is delivered as the answer:
 * a node, undefined (no answer comes), or the word "closed" (the connection ends instead).
 */
const {EventEmitter} = require('node:events');

class WebSocketClient extends EventEmitter {
	constructor() {
		super();
		this.setMaxListeners(0);
		this.isOpen = true;
		globalThis.connection = this;
	}

	connect() {}

	close() {}

	send(bytes, done) {
		done();
		globalThis.decodeNode(bytes).then((node) => {
			const answer = globalThis.whatsapp(node);
			if (answer === 'closed')
				this.emit('close');
			else if (answer)
				this.emit(`TAG:${node.attrs.id}`, answer);
		});
	}
}

const makeNoiseHandler = () => ({encodeFrame: (bytes) => bytes, decodeFrame() {}});

exports.WebSocketClient = WebSocketClient;
exports.makeNoiseHandler = makeNoiseHandler;
