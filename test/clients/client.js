// Talks to test/my_ws_handler.erl: by node's own WebSocket, or by the package ws. Prints the extensions.
//
// usage: client.js URL

const WebSocketClass = globalThis.WebSocket ?? require("ws");
const socket = new WebSocketClass(process.argv[2]);
const texts = ["me", "Zoë \u2603 ".repeat(20000), ""];
// The handler says it after a second, whatever it receives.
const expected = new Set(["Hello!", ...texts.map(text => "That's what she said! " + text)]);

const fail = why => { console.log(why); process.exit(1); };
const missing = () => expected.size + " messages did not come";

socket.onopen = () => texts.forEach(text => socket.send(text));
socket.onmessage = ({data}) => {
	if (!expected.delete(data) && data !== "How' you doin'?") fail("unexpected: " + String(data).slice(0, 100));
	if (expected.size === 0 && socket.readyState === WebSocketClass.OPEN) socket.close(3000, "bye");
};
socket.onclose = ({code}) => {
	if (expected.size > 0 || code !== 3000) fail(`closed by ${code}, ${missing()}`);
	console.log(socket.extensions);
	process.exit(0);
};
setTimeout(() => fail(missing()), 60000);
