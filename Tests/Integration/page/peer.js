// SPDX-License-Identifier: Apache-2.0
"use strict";

// A peer as any page may write it: the browser's own WebSocket, and all that it has heard.
class Peer {
  constructor(path, ...protocols) {
    this.messages = [];
    this.errors = 0;
    this.closed = null;
    this.look = () => {};
    this.socket = new WebSocket(new URL(path, location.href.replace(/^http/, "ws")), protocols);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({data}) => {
      this.messages.push(typeof data === "string" ? JSON.parse(data) : data);
      this.look();
    };
    this.socket.onerror = () => { this.errors += 1; };
    this.socket.onclose = ({code, reason, wasClean}) => {
      this.closed = {code, reason, wasClean, errors: this.errors};
      this.look();
    };
  }

  // All messages, once `condition` is true of them. It is asked at each event; the end of the connection is a failure.
  until(condition) {
    return new Promise((resolve, reject) => {
      this.look = () => {
        if (condition(this.messages)) resolve(this.messages);
        else if (this.closed) reject(new Error(JSON.stringify([this.closed, this.messages.slice(-5)])));
      };
      this.look();
    });
  }

  // How the connection ended.
  end() {
    return new Promise(resolve => {
      this.look = () => { if (this.closed) resolve(this.closed); };
      this.look();
    });
  }

  say(message) {
    this.socket.send(JSON.stringify(message));
  }

  // The answer to a subscription.
  async subscribe(topic, wish = {}) {
    await this.until(messages => messages.length > 0);
    this.say({type: "subscribe", topics: [{topic, ...wish}]});
    const isAnswer = message => message.type === "error" || (message.type === "subscribed" && message.topic === topic);
    return (await this.until(messages => messages.some(isAnswer))).find(isAnswer);
  }
}

// The text of a URL, while everything else of the page stands still.
function stall(url) {
  const request = new XMLHttpRequest();
  request.open("GET", url, false);
  request.send();
  return request.responseText;
}
