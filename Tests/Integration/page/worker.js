// SPDX-License-Identifier: Apache-2.0
"use strict";
importScripts("peer.js");

// A peer beside the page, which reads on while the page stands still. It tells the hub the offset of every `step`th message,
// and how many it has had.
onmessage = async ({data: step}) => {
  let got = 0;
  const peer = new Peer("/ws/stream", "pulse.v1");
  peer.socket.addEventListener("message", ({data}) => {
    const {o} = JSON.parse(data);
    if (!o) return;
    got += 1;
    if (o % step === 0) peer.say({type: "read", o, got});
  });
  postMessage(await peer.subscribe("t"));
};
