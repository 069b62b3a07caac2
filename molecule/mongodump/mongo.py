"""What the scenario does to the server: `fill` it, `tell` what is there, `grow`, `noise`, `insert`, `drop`."""

from __future__ import annotations

import json
import os
import sys

import pymongo

client = pymongo.MongoClient("mongodb://root:only-for-this-scenario@127.0.0.1:27017/", serverSelectionTimeoutMS=3000)
what, *words = sys.argv[1:]
if what == "fill":
    client.app.models.delete_many({})
    client.app.models.insert_many(
        {"_id": number, "name": f"model {number}", "parts": [1, 2.5, None, True], "score": number * 1.5}
        for number in range(2000)
    )
    client.app.models.create_index([("name", 1)], unique=True)
    client.app.models.create_index([("score", -1), ("name", 1)])
    client.files.meta.delete_many({})
    client.files.meta.insert_many({"size": number} for number in range(300))
elif what == "grow":
    for at in range(int(words[0])):
        client.large.blobs.insert_many({"at": at, "body": f"{at} " + "0123456789" * 2000} for _ in range(100))
elif what == "noise":  # megabytes that nothing compresses; FerretDB sends no more than 48 of a collection
    for at in range(int(words[0])):
        client.large[f"noise{at // 20}"].insert_one({"body": os.urandom(2**20)})
elif what == "insert":
    for database, _, collection in (word.partition(".") for word in words):
        client[database][collection].insert_one({"late": True})
elif what == "drop":
    database, _, collection = words[0].partition(".")
    if collection:
        client[database].drop_collection(collection)
    else:
        client.drop_database(database)
told = {
    f"{database}.{collection}": [
        client[database][collection].count_documents({}),
        sorted(client[database][collection].index_information()),
    ]
    for database in client.list_database_names()
    for collection in client[database].list_collection_names()
    if database != "admin"
}
print(json.dumps(told))
