// Serves stripe-stateful-mock on the loopback interface alone; its own command listens on every interface of the machine.
//
// usage: node stateful-mock.js <folder with node_modules> <port>
const path = require("path");

const [folder, port] = process.argv.slice(2);
const mock = require(path.join(folder, "node_modules", "stripe-stateful-mock"));
mock.createExpressApp().listen(Number(port), "127.0.0.1");
