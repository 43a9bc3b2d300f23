// A regtest chain on the loopback interface: two nodes of bcoin in one process, without any peer, and in front of the first one the
// part of Esplora's interface that billing uses.
//
// usage: node serve_bcoin.js <folder with node_modules> <port>
//
// What a test has happen on the chain, all POST:
//   /test/mine?count=2              blocks at the first node
//   /test/pay?address=…&value=…     a payment of that many satoshi; answers its transaction id
//   /test/fork?depth=1&keep=1       the second node makes a longer branch from that many blocks below, and the first one takes it. What
//                                   was undone waits again (keep=1), or its coins are spent elsewhere in the new branch (keep=0)
const http = require("http");
const path = require("path");

const [folder, port] = process.argv.slice(2);
const bcoin = require(path.resolve(folder, "node_modules", "bcoin"));
const { Network, FullNode, Block, TX, MTX, Coin, KeyRing, Address } = bcoin;

// bcoin's own regtest predates the prefixes everybody else uses.
const network = Network.get("regtest");
network.addressPrefix.pubkeyhash = 0x6f;
network.addressPrefix.scripthash = 0xc4;
network.addressPrefix.bech32 = "bcrt";

const reversed = (hex) => Buffer.from(hex, "hex").reverse().toString("hex");
const key = KeyRing.generate("regtest");
const home = key.getAddress();
// Coins to pay with: made by mining, spent once. Of the oldest kind: a young regtest knows no witnesses.
const purse = [];
const spent = new Map();

function node() {
  return new FullNode({
    network: "regtest", memory: true, workers: false, listen: false, indexTX: true, indexAddress: true,
    httpHost: "127.0.0.1", httpPort: 0, apiKey: "none", noAuth: true, env: false, argv: false, logLevel: "none",
  });
}

let first = node();

async function mineAt(at, count, transactions = []) {
  for (let made = 0; made < count; made++) {
    const job = await at.miner.createJob(null, home);
    for (const tx of transactions.splice(0)) {
      job.pushTX(tx);
    }
    job.refresh();
    const block = await job.mineAsync();
    if (!(await at.chain.add(block))) throw new Error("the node refuses its own block");
  }
}

async function mine(count) {
  for (let made = 0; made < count; made++) {
    await mineAt(first, 1);
    const block = await first.chain.getBlock(first.chain.tip.hash);
    purse.push(Coin.fromTX(block.txs[0], 0, first.chain.height));
  }
}

// A payment of our own coin: the oldest one that may be spent, the rest back home.
async function made(coin, address, value, fee) {
  const tx = new MTX();
  tx.addOutput(Address.fromString(address, "regtest"), value);
  tx.addOutput(home, coin.value - value - fee);
  tx.addCoin(coin);
  tx.inputs[0].sequence = 0xfffffffd;
  tx.sign(key);
  return tx.toTX();
}

async function pay(address, value) {
  const coin = purse.shift();
  const tx = await made(coin, address, value, 10000);
  await first.mempool.addTX(tx);
  if (!first.mempool.has(tx.hash("hex"))) throw new Error("the node does not take the payment");
  spent.set(tx.hash("hex"), coin);
  return tx.txid();
}

async function fork(depth, keep) {
  const second = node();
  await second.open();
  const from = first.chain.height - depth;
  const undone = [];
  for (let height = 1; height <= first.chain.height; height++) {
    const block = await first.chain.getBlock(await first.chain.getHash(height));
    if (height <= from) await second.chain.add(Block.fromRaw(block.toRaw()));
    else undone.push(...block.txs.filter((tx) => !tx.isCoinbase()));
  }
  const others = [];
  for (const tx of [...undone, ...first.mempool.getHistory()]) {
    const coin = spent.get(tx.hash("hex"));
    if (!keep && coin) others.push(await made(coin, home.toString("regtest"), 5000, 20000));
  }
  await mineAt(second, depth + 1, others);
  for (let height = from + 1; height <= second.chain.height; height++) {
    const block = await second.chain.getBlock(await second.chain.getHash(height));
    await first.chain.add(Block.fromRaw(block.toRaw()));
  }
  if (first.chain.tip.hash !== second.chain.tip.hash) throw new Error("the first node did not take the longer branch");
  if (keep) {
    for (const tx of undone) await first.mempool.addTX(tx);
  }
  await second.close();
}

async function transactions(address) {
  const metas = await first.getMetaByAddress([Address.fromString(address, "regtest")]);
  const told = metas.map((meta) => ({
    txid: meta.tx.txid(),
    vout: meta.tx.outputs.map((output) => {
      const to = output.getAddress();
      return { value: output.value, ...(to ? { scriptpubkey_address: to.toString("regtest") } : {}) };
    }),
    status: meta.height < 0 ? { confirmed: false } : {
      confirmed: true, block_height: meta.height, block_hash: reversed(meta.block), block_time: meta.time,
    },
  }));
  return told.sort((one, other) => (other.status.block_height ?? 1e9) - (one.status.block_height ?? 1e9)).slice(0, 25);
}

async function answer(method, url, body) {
  const address = url.pathname.match(/^\/address\/([a-z0-9A-Z]+)\/txs$/);
  const height = url.pathname.match(/^\/block-height\/([0-9]+)$/);
  if (method === "GET" && url.pathname === "/blocks/tip/height") return String(first.chain.height);
  if (method === "GET" && url.pathname === "/blocks/tip/hash") return reversed(first.chain.tip.hash);
  if (method === "GET" && height) {
    const hash = await first.chain.getHash(Number(height[1]));
    return hash ? reversed(hash) : null;
  }
  if (method === "GET" && address) return JSON.stringify(await transactions(address[1]));
  if (method === "POST" && url.pathname === "/tx") {
    const tx = TX.fromRaw(Buffer.from(body, "hex"));
    await first.mempool.addTX(tx);
    return tx.txid();
  }
  const asked = (name) => url.searchParams.get(name);
  if (method === "POST" && url.pathname === "/test/mine") return mine(Number(asked("count"))).then(() => "mined");
  if (method === "POST" && url.pathname === "/test/pay") return pay(asked("address"), Number(asked("value")));
  if (method === "POST" && url.pathname === "/test/fork") {
    return fork(Number(asked("depth")), asked("keep") === "1").then(() => "forked");
  }
  return null;
}

// One request after the other: a test sees what it caused.
let before = Promise.resolve();
const server = http.createServer((request, response) => {
  let body = "";
  request.on("data", (part) => { body += part; });
  request.on("end", () => {
    before = before.then(() => answer(request.method, new URL(request.url, "http://localhost"), body)).then(
      (text) => { response.statusCode = text === null ? 404 : 200; response.end(text ?? ""); },
      (error) => { response.statusCode = 400; response.end(String(error && error.stack || error)); },
    );
  });
});

(async () => {
  await first.open();
  // A coinbase may be spent after a hundred blocks.
  await mine(110);
  server.listen(Number(port), "127.0.0.1");
})();
