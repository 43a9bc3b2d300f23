"""Hosted pages beside localstripe, for looking at a shop by hand: what Stripe's Checkout Sessions do, as far as Ottery asks.

Not a peer that proves anything: it was made by us, from Stripe's documentation.
"""

import hashlib
import hmac
import html
import json
import time
import uuid

import aiohttp
from aiohttp import web
from localstripe.server import get_post_data
from localstripe.webhooks import _webhooks

KEY = "sk_test_pages"
FORM = """<!doctype html><meta name=viewport content="width=device-width"><title>Pay</title>
<body style="font:1rem/1.5 system-ui;max-width:24rem;margin:4rem auto;padding:0 1rem"><h1>{what}</h1><p>{note}</p>
<form method=post><label>Card <input name=number value="4242424242424242" inputmode=numeric></label>
<p>4242 4242 4242 4242 pays, 4000 0000 0000 0341 can be saved and is refused, 4000 0025 0000 3155 must be confirmed.</p>
<button>Go on</button> <a href="{back}">Back</a></form>"""


def add_to(app, port):
    sessions, asked = {}, {}
    api = f"http://127.0.0.1:{port}/v1"

    async def call(method, path, data=None):
        headers = {"authorization": f"Bearer {KEY}"}
        async with aiohttp.ClientSession(headers=headers) as client:
            async with client.request(method, api + path, data=data) as answer:
                return answer.status, await answer.json()

    async def tell(kind, thing):
        event = {"id": "evt_" + uuid.uuid4().hex, "object": "event", "type": kind, "livemode": False,
                 "created": int(time.time()), "data": {"object": thing}}
        body = json.dumps(event).encode()
        for hook in _webhooks.values():
            at = str(int(time.time()))
            mac = hmac.new(hook.secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
            headers = {"stripe-signature": f"t={at},v1={mac}", "content-type": "application/json"}
            try:
                async with aiohttp.ClientSession() as client:
                    await client.post(hook.url, data=body, headers=headers)
            except aiohttp.ClientError as error:
                print(f"the webhook was not taken: {error}")

    def missing():
        return web.json_response({"error": {"type": "invalid_request_error", "code": "resource_missing"}}, status=404)

    async def create(request):
        data = await get_post_data(request)
        name = "cs_test_" + uuid.uuid4().hex
        asked[name] = data
        sessions[name] = {"id": name, "object": "checkout.session", "status": "open", "payment_status": "unpaid",
                          "mode": data["mode"], "customer": data["customer"], "livemode": False,
                          "client_reference_id": data.get("client_reference_id"), "metadata": data.get("metadata", {}),
                          "payment_intent": None, "setup_intent": None,
                          "url": f"http://127.0.0.1:{port}/_config/pay/{name}"}
        return web.json_response(sessions[name])

    async def read(request):
        found = sessions.get(request.match_info["id"])
        if found is None:
            return missing()
        found = dict(found)
        if isinstance(found["payment_intent"], str):
            with_all = "?expand[]=latest_charge.balance_transaction&expand[]=payment_method"
            found["payment_intent"] = (await call("GET", f"/payment_intents/{found['payment_intent']}{with_all}"))[1]
        return web.json_response(found)

    async def expire(request):
        found = sessions.get(request.match_info["id"])
        if found is None:
            return missing()
        if found["status"] != "open":
            return web.json_response({"error": {"type": "invalid_request_error", "code": "not_open"}}, status=400)
        found["status"] = "expired"
        return web.json_response(found)

    def page(found, note=""):
        wanted = asked[found["id"]]
        item = (wanted.get("line_items") or [{}])[0].get("price_data", {})
        amount = f"{item['unit_amount']} {item['currency'].upper()} (minor units)" if item else "Save a card"
        text = FORM.format(what=html.escape(str(amount)), note=html.escape(note), back=html.escape(wanted["cancel_url"]))
        return web.Response(text=text, content_type="text/html")

    async def show(request):
        found = sessions.get(request.match_info["id"])
        return missing() if found is None or found["status"] != "open" else page(found)

    async def pay(request):
        found = sessions.get(request.match_info["id"])
        if found is None or found["status"] != "open":
            return missing()
        wanted, number = asked[found["id"]], (await request.post())["number"].replace(" ", "")
        card = {"type": "card", "card[number]": number, "card[exp_month]": "12", "card[exp_year]": "2039", "card[cvc]": "123"}
        status, method = await call("POST", "/payment_methods", card)
        if status == 200:
            status, method = await call("POST", f"/payment_methods/{method['id']}/attach", {"customer": wanted["customer"]})
        if status != 200:
            return page(found, "The card was refused.")
        if found["mode"] == "setup":
            found["setup_intent"] = {"id": "seti_" + uuid.uuid4().hex, "status": "succeeded", "payment_method": method}
        else:
            item, more = wanted["line_items"][0]["price_data"], wanted.get("payment_intent_data", {})
            fields = {"amount": str(item["unit_amount"]), "currency": item["currency"], "customer": wanted["customer"],
                      "payment_method": method["id"], "confirm": "true"}
            fields |= {f"metadata[{name}]": str(value) for name, value in more.get("metadata", {}).items()}
            status, intent = await call("POST", "/payment_intents", fields)
            if status == 200 and intent["status"] == "requires_action":
                # The holder is here and says yes.
                confirmed = {"client_secret": intent["client_secret"], "success": "true"}
                status, intent = await call("POST", f"/payment_intents/{intent['id']}/_authenticate", confirmed)
            if status != 200:
                return page(found, "The card was refused.")
            found["payment_intent"], found["payment_status"] = intent["id"], "paid"
            if "setup_future_usage" not in more:
                await call("POST", f"/payment_methods/{method['id']}/detach", {})
        found["status"] = "complete"
        await tell("checkout.session.completed", found)
        raise web.HTTPSeeOther(wanted["success_url"])

    app.router.add_post("/v1/checkout/sessions", create)
    app.router.add_get("/v1/checkout/sessions/{id}", read)
    app.router.add_post("/v1/checkout/sessions/{id}/expire", expire)
    app.router.add_get("/_config/pay/{id}", show)
    app.router.add_post("/_config/pay/{id}", pay)
