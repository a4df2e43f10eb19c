std = "lua54"
max_line_length = 120 -- C has 100; specs and messages hold sentences
cache = false

files["spec"] = { std = "+busted" }
files["spec/run.lua"] = { std = "lua54" }
files["examples/savefile"] = { globals = { "love" } }
files["spec/support/player.lua"] = { std = "luajit+love" }
files["lua/meta"] = { ignore = { "212", "241", "631" } } -- nothing is used there; lines are as long as their sentence
files["spec/support/luajit.lua"] = { std = "luajit+busted", ignore = { "122", "142", "143" } } -- it makes up for 5.4
files["examples/love"] = { std = "luajit+love" }
files["examples/neovim"] = { std = "luajit", globals = { "vim" } }
files["spec/luas_spec.lua"] = { std = "+busted" }
