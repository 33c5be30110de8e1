"""Where people answer the queries of a round: in a browser, or in another labelling tool."""
