// SPDX-License-Identifier: Apache-2.0

// A program of somebody who uses the module.
package main

import (
	"fmt"

	pulsews "pulsews.dev/go"
)

func main() {
	hub, err := pulsews.NewHub()
	if err != nil {
		panic(err)
	}
	hub.Close()
	fmt.Println("a hub came and went")
}
